/** realfork: real POSIX processes for Node. Re-exports only; see `posix/` for the calls. */
export { PosixError, ForkLimitError, AbortError, type ForkLimit } from './errors';
export { fork } from './posix/fork';
export { guardForks, ForkGuard, type ForkLimits } from './posix/guard';
export { forkSupport, type ForkSupport } from './posix/support';
export { registerAtFork, type AtForkHooks } from './posix/at-fork';
export {
  getpid,
  getppid,
  gettid,
  getpgid,
  setpgid,
  getpgrp,
  setsid,
  getsid,
  tcgetpgrp,
  tcsetpgrp,
} from './posix/identity';
export {
  wait,
  waitpid,
  wait3,
  wait4,
  waitid,
  WNOHANG,
  WUNTRACED,
  WCONTINUED,
  WEXITED,
  WSTOPPED,
  WNOWAIT,
  P_ALL,
  P_PID,
  P_PGID,
  P_PIDFD,
  CLD_EXITED,
  CLD_KILLED,
  CLD_DUMPED,
  CLD_TRAPPED,
  CLD_STOPPED,
  CLD_CONTINUED,
  type WaitResult,
  type Wait4Result,
  type WaitIdResult,
} from './posix/wait';
export {
  WIFEXITED,
  WEXITSTATUS,
  WIFSIGNALED,
  WTERMSIG,
  WCOREDUMP,
  WIFSTOPPED,
  WSTOPSIG,
  WIFCONTINUED,
  waitStatusToExitCode,
} from './posix/status';
export { _exit, execv, execve, execvp, execvpe } from './posix/exec';
export { pipe, pipe2, dup, dup2, socketpair, getInheritable, setInheritable, O_CLOEXEC, O_NONBLOCK } from './posix/fd';
export { waitpidAsync, type WaitAsyncOptions } from './posix/wait-async';
export { processTree, zombies, type ProcessEntry, type ProcessNode } from './posix/tree';
export type { RealTimeSignal, Signal, SignalName } from './posix/signal-names';
export { kill, killpg, pause, raise } from './posix/signals';
export {
  SIG_BLOCK,
  SIG_SETMASK,
  SIG_UNBLOCK,
  sigpending,
  sigprocmask,
  sigtimedwait,
  sigwait,
  type SignalInfo,
} from './posix/signal-mask';
export { pauseAsync, sigtimedwaitAsync, sigwaitAsync, type SignalWaitOptions } from './posix/signals-async';
export {
  alarm,
  getitimer,
  ITIMER_PROF,
  ITIMER_REAL,
  ITIMER_VIRTUAL,
  setitimer,
  type IntervalTimer,
} from './posix/alarm';
export { sleepSync } from './posix/sleep';
export { getpriority, nice, PRIO_PGRP, PRIO_PROCESS, PRIO_USER, setpriority } from './posix/priority';
export {
  getrlimit,
  getrusage,
  RLIM_INFINITY,
  RLIMIT_AS,
  RLIMIT_CORE,
  RLIMIT_CPU,
  RLIMIT_DATA,
  RLIMIT_FSIZE,
  RLIMIT_LOCKS,
  RLIMIT_MEMLOCK,
  RLIMIT_MSGQUEUE,
  RLIMIT_NICE,
  RLIMIT_NOFILE,
  RLIMIT_NPROC,
  RLIMIT_RSS,
  RLIMIT_RTPRIO,
  RLIMIT_RTTIME,
  RLIMIT_SIGPENDING,
  RLIMIT_STACK,
  RUSAGE_CHILDREN,
  RUSAGE_SELF,
  RUSAGE_THREAD,
  setrlimit,
  sysconf,
  times,
  umask,
  type ProcessTimes,
  type Resource,
  type ResourceLimit,
} from './posix/limits';
export { getChildSubreaper, getParentDeathSignal, setChildSubreaper, setParentDeathSignal } from './posix/prctl';
export { Reaper, type Orphan, type ReaperOptions, type ReaperEvents } from './posix/reaper';
export { daemonize, type Daemon, type DaemonOptions, type DaemonStream } from './posix/daemon';
