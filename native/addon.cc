// The export table of the addon, and nothing else.
#include <napi.h>

#include "addon_data.h"
#include "bindings.h"
#include "threads.h"
#include "v8_bridge.h"

namespace realfork {

namespace {

struct Binding {
  const char* name;
  Napi::Value (*call)(const Napi::CallbackInfo&);
};

constexpr Binding kBindings[] = {
    // posix_error.cc
    {"setErrorFactory", SetErrorFactory},
    {"errnoNames", ErrnoNames},
    {"strerror", StrError},
    // arena_bindings.cc
    {"arenaOpen", ArenaOpen},
    {"reserveSlot", ReserveSlot},
    {"arenaFacts", ArenaFacts},
    {"arenaSelf", ArenaSelf},
    {"allocateCell", AllocateCell},
    {"allocateBlock", AllocateBlock},
    {"blockBuffer", BlockBuffer},
    {"accountFor", AccountFor},
    {"markSent", MarkSent},
    {"reclaim", Reclaim},
    {"freeCell", FreeCell},
    {"arenaSlot", ArenaSlot},
    {"slotLives", SlotLives},
    {"sweepArena", SweepArena},
    {"robustLink", RobustLink},
    {"robustUnlink", RobustUnlink},
    {"robustTry", RobustTry},
    {"robustAcquire", RobustAcquire},
    {"robustTryOrMark", RobustTryOrMark},
    {"robustRelease", RobustRelease},
    {"robustEntry", RobustEntry},
    {"gateOpen", GateOpen},
    {"gateTakeOrMark", GateTakeOrMark},
    {"gateWait", GateWait},
    {"wordWait", WordWait},
    {"wordWaitEither", WordWaitEither},
    {"givePagesBack", GivePagesBack},
    {"writeFresh", WriteFresh},
    {"wordWake", WordWake},
    {"wordSetAndWake", WordSetAndWake},
    {"onWaitEnd", OnWaitEnd},
    {"waitStart", WaitStart},
    {"waitCancel", WaitCancel},
    {"waitRef", WaitRef},
    {"waitAbandon", WaitAbandon},
    // buffer_cache.cc
    {"takeBuffer", TakeBuffer},
    {"trimBuffers", TrimBuffers},
    // children.cc
    {"childProcessPids", ChildProcessPids},
    {"awaitChild", AwaitChild},
    {"openPidFd", OpenPidFd},
    {"pollChild", PollChild},
    {"groupOf", GroupOf},
    {"bootClock", BootClock},
    {"clockTicks", ClockTicks},
    // clean_child.cc
    {"flushStdio", FlushStdio},
    {"resetSignals", ResetSignals},
    {"dropParentsWork", DropParentsWork},
    {"refParentsHandles", RefParentsHandles},
    {"unrefParentsHandles", UnrefParentsHandles},
    {"hasQueuedOutput", HasQueuedOutput},
    {"detachInput", DetachInput},
    {"abandonStack", AbandonStack},
    // connection.cc
    {"connectionExchange", ConnectionExchange},
    {"connectionPair", ConnectionPair},
    {"socketKind", SocketKind},
    {"receive", Receive},
    {"send", Send},
    {"pollFd", PollFd},
    {"pollFds", PollFds},
    {"closeFd", CloseFd},
    // constants.cc
    {"constants", Constants},
    // copy.cc
    {"giveAttributes", GiveAttributesOf},
    {"renameFile", RenameFile},
    {"setTimes", SetTimes},
    {"copyFileRange", CopyFileRange},
    {"seekData", SeekData},
    // copy_files.cc
    {"copyFiles", CopyFiles},
    // exec.cc
    {"exec", Exec},
    // fd.cc
    {"pipe2", Pipe2},
    {"socketpair", SocketPair},
    {"dup", Dup},
    {"dup2", Dup2},
    {"openFds", OpenFds},
    {"getCloseOnExec", GetCloseOnExec},
    {"setCloseOnExec", SetCloseOnExec},
    // file_lock.cc
    {"tryLock", TryLock},
    // folder.cc
    {"listFolder", ListFolder},
    // fork.cc
    {"fork", Fork},
    {"forkFacts", ForkFacts},
    // guard.cc
    {"setForkGuard", SetForkGuard},
    {"countForkGuard", CountForkGuard},
    {"liftForkGuard", LiftForkGuard},
    // identity.cc
    {"followCredentials", FollowCredentials},
    {"getpid", GetPid},
    {"getppid", GetPPid},
    {"gettid", GetTid},
    {"getpgid", GetPGid},
    {"setpgid", SetPGid},
    {"getpgrp", GetPGrp},
    {"setsid", SetSid},
    {"getsid", GetSid},
    {"tcgetpgrp", TcGetPGrp},
    {"tcsetpgrp", TcSetPGrp},
    // leave.cc
    {"exitNow", ExitNow},
    {"leaveProcess", LeaveNow},
    // listener.cc
    {"listenAt", ListenAt},
    {"acceptAt", AcceptAt},
    {"connectTo", ConnectTo},
    {"finishConnecting", FinishConnecting},
    {"socketAddress", SocketAddress},
    {"resolveHost", ResolveHost},
    // poller.cc
    {"pollerOpen", PollerOpen},
    {"pollerArm", PollerArm},
    {"pollerDisarm", PollerDisarm},
    {"pollerAbandon", PollerAbandon},
    // spawn.cc
    {"spawn", Spawn},
    // stdio.cc
    {"hasInputHandle", HasInputHandle},
    // v8_bridge.cc
    {"reseedMathRandom", ReseedMathRandom},
    {"hasNamedKeys", HasNamedKeys},
    {"installExitHandling", InstallExitHandling},
    {"recordExitCode", RecordExitCode},
    // clock.cc
    {"sleep", Sleep},
    // limits.cc
    {"getrlimit", GetRLimit},
    {"setrlimit", SetRLimit},
    {"getrusage", GetRUsage},
    {"times", Times},
    {"umask", UMask},
    {"sysconf", SysConf},
    {"sysconfNames", SysConfNames},
    // prctl.cc
    {"setChildSubreaper", SetChildSubreaper},
    {"getChildSubreaper", GetChildSubreaper},
    {"setParentDeathSignal", SetParentDeathSignal},
    {"getParentDeathSignal", GetParentDeathSignal},
    // priority.cc
    {"nice", Nice},
    {"getpriority", GetPriority},
    {"setpriority", SetPriority},
    // shared_memory.cc
    {"createSegment", CreateSegment},
    {"attachSegment", AttachSegment},
    {"linkSegment", LinkSegment},
    {"unlinkSegment", UnlinkSegment},
    {"closeSegment", CloseSegment},
    // random.cc
    {"drawEntropy", DrawEntropy},
    // signal.cc
    {"kill", Kill},
    {"killpg", KillPg},
    {"raise", Raise},
    {"alarm", Alarm},
    {"pause", Pause},
    {"sigprocmask", SigProcMask},
    {"sigpending", SigPending},
    {"sigwait", SigWait},
    {"sigtimedwait", SigTimedWait},
    {"setitimer", SetITimer},
    {"getitimer", GetITimer},
    // wait.cc
    {"wait", Wait},
    {"waitpid", WaitPid},
    {"wait4", Wait4},
    {"waitid", WaitId},
    // wait_many.cc
    {"pollFdsAndWords", PollFdsAndWords},
    // watch.cc
    {"watchPid", WatchPid},
    {"collectWatched", CollectWatched},
    {"watchSignals", WatchSignals},
    {"watchDescriptor", WatchDescriptor},
    {"setWatchEvents", SetWatchEvents},
    {"refWatch", RefWatch},
    {"unwatch", Unwatch},
    {"watchChildSignal", WatchChildSignal},
    {"refChildSignal", RefChildSignal},
    {"unwatchChildSignal", UnwatchChildSignal},
    {"abandonWatches", AbandonWatches},
};

}  // namespace

Napi::Object Init(Napi::Env env, Napi::Object exports) {
  env.SetInstanceData(new AddonData());
  if (v8_bridge::MissingSymbol() == nullptr) threads::Learn();
  for (const Binding& binding : kBindings) {
    exports.Set(binding.name, Napi::Function::New(env, binding.call, binding.name));
  }
  return exports;
}

}  // namespace realfork

Napi::Object InitAddon(Napi::Env env, Napi::Object exports) {
  return realfork::Init(env, exports);
}

NODE_API_MODULE(realfork, InitAddon)
