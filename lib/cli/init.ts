/**
 * `realfork init -- command ...`: a first process for containers, on the model of tini. It starts the command in a process
 * group of its own, passes on the signals it gets, reaps the orphans it inherits, and ends as the command has ended.
 */
import { constants } from 'node:os';
import { isatty } from 'node:tty';
import type { Command } from 'commander';
import {
  SIG_BLOCK,
  SIG_SETMASK,
  WEXITSTATUS,
  WIFEXITED,
  WNOHANG,
  WTERMSIG,
  _exit,
  execvp,
  fork,
  getpgrp,
  getpid,
  kill,
  setChildSubreaper,
  setParentDeathSignal,
  setpgid,
  sigprocmask,
  sigwait,
  tcsetpgrp,
  waitpid,
  type Signal,
} from '../index';
import { UsageError } from './exit-codes';

interface Options {
  readonly group?: true;
  readonly subreaper?: true;
  readonly parentDeath?: string;
}

export function initCommand(program: Command): void {
  program
    .command('init')
    .description(
      'run a command as the first process of a container does: pass on signals, reap orphans, end as it ends',
    )
    .argument('<command...>', 'the command and its arguments; put -- before them')
    .option('-g, --group', "pass signals on to the command's whole process group")
    .option('-s, --subreaper', 'adopt orphans without being pid 1 (Linux)')
    .option('-p, --parent-death <signal>', 'get this signal when the process that started init dies (Linux)')
    .passThroughOptions()
    .action((command: string[], options: Options) => {
      process.exit(init(command, options));
    });
}

/** What init leaves alone: signals that cannot be held back, and those that tell of a fault in init itself. */
const LEFT_ALONE: ReadonlySet<Signal> = new Set(
  (['SIGKILL', 'SIGSTOP', 'SIGFPE', 'SIGILL', 'SIGSEGV', 'SIGBUS', 'SIGABRT', 'SIGTRAP', 'SIGSYS'] as const).map(
    (name) => constants.signals[name],
  ),
);

/** glibc's SIGRTMIN to SIGRTMAX; the two below are its own. */
const REAL_TIME = process.platform === 'linux' ? Array.from({ length: 64 - 34 + 1 }, (_, index) => 34 + index) : [];

/** Held back from the start to the end, and taken one by one. */
const TAKEN: readonly Signal[] = [
  ...new Set(Object.values(constants.signals).filter((number) => !LEFT_ALONE.has(number))),
  ...REAL_TIME,
];

/**
 * Not passed on. SIGCHLD is init's own; held back, the other two allow it to write to the terminal and to hand it over from
 * the background.
 */
const KEPT: ReadonlySet<Signal> = new Set(['SIGCHLD', 'SIGTTIN', 'SIGTTOU']);

function init(command: readonly string[], options: Options): number {
  if (options.subreaper) setChildSubreaper(true);
  if (options.parentDeath !== undefined) setParentDeathSignal(signalNamed(options.parentDeath));
  if (getpid() !== 1 && !options.subreaper) {
    console.error('realfork init: not pid 1 and no subreaper (-s): orphans will not come to this process');
  }
  const mask = sigprocmask(SIG_BLOCK, TAKEN); // a signal that comes before the command is not lost
  const child = fork();
  if (child === 0) becomeCommand(command, mask);
  setGroupOf(child);
  const status = serve(child, options.group === true);
  takeTerminal();
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/** The child's way from fork() to the command: the mask is restored last, so that a signal of now is the command's. */
function becomeCommand(command: readonly string[], mask: readonly Signal[]): never {
  const [file] = command as readonly [string];
  try {
    setpgid(0, 0);
    takeTerminal();
    sigprocmask(SIG_SETMASK, mask);
    execvp(file, command);
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    console.error(`realfork init: cannot run ${file}: ${message}`);
    return _exit(code === 'ENOENT' ? 127 : 126); // as a shell has it
  }
}

/** Both sides set the child's group, so that it is there for whoever comes first: a signal for it, or its first instruction. */
function setGroupOf(child: number): void {
  try {
    setpgid(child, child);
  } catch (error) {
    // EACCES: it is the command by now, and has done it. ESRCH: it has ended.
    const { code } = error as NodeJS.ErrnoException;
    if (code !== 'EACCES' && code !== 'ESRCH') throw error;
  }
}

/**
 * Wait for signals, pass them on and reap, until the command has ended; its wait status. This blocks: nothing else is to run
 * in this process, and so no signal can fall between two turns of an event loop.
 */
function serve(child: number, toGroup: boolean): number {
  for (;;) {
    const signal = sigwait(TAKEN);
    if (!KEPT.has(signal)) {
      pass(signal, toGroup ? -child : child);
    } else if (signal === 'SIGCHLD') {
      const status = reap(child);
      if (status !== undefined) return status;
    }
  }
}

function pass(signal: Signal, to: number): void {
  try {
    kill(to, signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error; // it has just ended
  }
}

/**
 * Reap every child that has ended: one SIGCHLD may stand for several. Every one is the command or an adopted orphan, since init
 * makes no other. The command's status, if it is among them.
 */
function reap(child: number): number | undefined {
  let ended: number | undefined;
  try {
    for (;;) {
      const { pid, status } = waitpid(-1, WNOHANG);
      if (pid === 0) return ended;
      if (pid === child) ended = status;
    }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ECHILD') throw error;
    return ended;
  }
}

/**
 * Make this process's group the foreground group of the terminal on standard input, if there is one. From the background that
 * takes a blocked SIGTTOU, tcsetpgrp(3).
 */
function takeTerminal(): void {
  if (!isatty(0)) return;
  try {
    tcsetpgrp(0, getpgrp());
  } catch (error) {
    // ENOTTY, ENXIO: not this session's terminal. EPERM, EIO: the terminal is another's by now, or gone.
    const { code } = error as NodeJS.ErrnoException;
    if (!['ENOTTY', 'ENXIO', 'EPERM', 'EIO'].includes(code ?? '')) throw error;
  }
}

function signalNamed(text: string): NodeJS.Signals {
  const name = text.toUpperCase();
  const full = name.startsWith('SIG') ? name : `SIG${name}`;
  const found = Object.entries(constants.signals).find(([key, number]) => key === full || String(number) === text);
  if (found === undefined) throw new UsageError(`--parent-death takes a signal, not '${text}'`);
  return found[0] as NodeJS.Signals;
}
