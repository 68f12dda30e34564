/**
 * The public types of the POSIX layer. Most of it is checked by compiling this file: each line of `Checks` and each
 * `@ts-expect-error` fails the build of the tests when a signature changes. What is left for run time is that the names
 * the types promise are there, and no others.
 */
import * as rf from 'realfork';
import type { Expect, Same } from './assert';

type Call<Name extends keyof typeof rf> = (typeof rf)[Name];

/** Exported so that an unused type is no complaint. */
export type Checks = [
  Expect<Same<Call<'fork'>, () => number>>,
  Expect<Same<Call<'_exit'>, (code: number) => never>>,
  Expect<Same<ReturnType<Call<'execv'>>, never>>,
  Expect<Same<ReturnType<Call<'execve'>>, never>>,
  Expect<Same<ReturnType<Call<'execvp'>>, never>>,
  Expect<Same<Call<'getpid'>, () => number>>,
  Expect<Same<Call<'getpgid'>, (pid?: number) => number>>,
  Expect<Same<Call<'setpgid'>, (pid: number, pgid: number) => void>>,
  Expect<Same<Call<'waitpid'>, (pid: number, options?: number) => rf.WaitResult>>,
  Expect<Same<Call<'wait'>, () => rf.WaitResult>>,
  Expect<Same<rf.WaitResult, { readonly pid: number; readonly status: number }>>,
  Expect<Same<ReturnType<Call<'waitpidAsync'>>, Promise<rf.WaitResult>>>,
  Expect<Same<Call<'WIFEXITED'>, (status: number) => boolean>>,
  Expect<Same<Call<'WEXITSTATUS'>, (status: number) => number>>,
  Expect<Same<Call<'waitStatusToExitCode'>, (status: number) => number>>,
  Expect<Same<Call<'pipe'>, () => [number, number]>>,
  Expect<Same<Call<'dup2'>, (from: number, to: number) => number>>,
  Expect<Same<ReturnType<Call<'sigwait'>>, rf.SignalName>>,
  Expect<Same<Call<'sleepSync'>, (ms: number) => void>>,
  Expect<Same<Call<'guardForks'>, (limits: rf.ForkLimits) => rf.ForkGuard>>,
  Expect<Same<rf.PosixError['code'], string>>,
  Expect<Same<rf.PosixError['errno'], number>>,
  Expect<Same<rf.ForkLimitError['code'], 'ERR_FORK_LIMIT'>>,
];

/** Never called: every line is a mistake that must not compile. */
export function mistakes(result: rf.WaitResult): void {
  // @ts-expect-error the caller gets a record to read, not one to write
  result.pid = 1;
  // @ts-expect-error a pid is a number
  rf.waitpid('1');
  // @ts-expect-error fork takes nothing
  rf.fork(() => {});
  // @ts-expect-error a misspelt signal
  rf.kill(1, 'SIGKIL');
  // @ts-expect-error arguments of a program are strings
  rf.execv('/bin/true', [1]);
  // @ts-expect-error an unknown hook
  rf.registerAtFork({ afterwards() {} });
  // @ts-expect-error an unknown limit
  rf.guardForks({ maximum: 1 });
  // @ts-expect-error statuses are numbers
  rf.WIFEXITED(result);
}

/** The calls and constants that the documentation of the package promises, by kind. */
const promised = {
  processes: 'fork _exit execv execve execvp execvpe registerAtFork forkSupport daemonize',
  identity: 'getpid getppid gettid getpgid setpgid getpgrp setsid getsid tcgetpgrp tcsetpgrp',
  waiting: 'waitpid wait wait4 waitid waitpidAsync WNOHANG WUNTRACED WCONTINUED WEXITED WSTOPPED WNOWAIT',
  idTypes: 'P_PID P_PGID P_ALL P_PIDFD',
  statuses:
    'WIFEXITED WEXITSTATUS WIFSIGNALED WTERMSIG WCOREDUMP WIFSTOPPED WSTOPSIG WIFCONTINUED waitStatusToExitCode',
  descriptors: 'pipe pipe2 dup dup2 socketpair',
  signals: 'kill killpg raise alarm pause sigprocmask sigpending sigwait sigtimedwait setitimer getitimer',
  limits: 'sleepSync nice getpriority setpriority getrlimit setrlimit getrusage times umask sysconf',
  trees: 'setChildSubreaper setParentDeathSignal Reaper zombies processTree guardForks',
  errors: 'PosixError ForkLimitError',
};

test.each(Object.entries(promised))('%s: every promised name is exported', (_kind, names) => {
  expect(names.split(' ').filter((name) => !(name in rf))).toEqual([]);
});

test('what is exported is a call, a class or a number: nothing internal has slipped out', () => {
  const strange = Object.entries(rf).filter(([, value]) => typeof value !== 'function' && typeof value !== 'number');
  expect(strange).toEqual([]);
});
