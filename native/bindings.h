// Every function that the addon exports, by the file that defines it. addon.cc holds the table.
#ifndef REALFORK_NATIVE_BINDINGS_H_
#define REALFORK_NATIVE_BINDINGS_H_

#include <napi.h>

#include "posix_error.h"

namespace realfork {

// arena_bindings.cc
Napi::Value ArenaOpen(const Napi::CallbackInfo& info);
Napi::Value ReserveSlot(const Napi::CallbackInfo& info);
Napi::Value ArenaFacts(const Napi::CallbackInfo& info);
Napi::Value ArenaSelf(const Napi::CallbackInfo& info);
Napi::Value AllocateCell(const Napi::CallbackInfo& info);
Napi::Value AllocateBlock(const Napi::CallbackInfo& info);
Napi::Value BlockBuffer(const Napi::CallbackInfo& info);
Napi::Value AccountFor(const Napi::CallbackInfo& info);
Napi::Value MarkSent(const Napi::CallbackInfo& info);
Napi::Value Reclaim(const Napi::CallbackInfo& info);
Napi::Value FreeCell(const Napi::CallbackInfo& info);
Napi::Value ArenaSlot(const Napi::CallbackInfo& info);
Napi::Value SlotLives(const Napi::CallbackInfo& info);
Napi::Value SweepArena(const Napi::CallbackInfo& info);
Napi::Value RobustLink(const Napi::CallbackInfo& info);
Napi::Value RobustUnlink(const Napi::CallbackInfo& info);
Napi::Value RobustTry(const Napi::CallbackInfo& info);
Napi::Value RobustAcquire(const Napi::CallbackInfo& info);
Napi::Value RobustTryOrMark(const Napi::CallbackInfo& info);
Napi::Value RobustRelease(const Napi::CallbackInfo& info);
Napi::Value RobustEntry(const Napi::CallbackInfo& info);
Napi::Value GateOpen(const Napi::CallbackInfo& info);
Napi::Value GateTakeOrMark(const Napi::CallbackInfo& info);
Napi::Value GateWait(const Napi::CallbackInfo& info);
Napi::Value WordWait(const Napi::CallbackInfo& info);
Napi::Value WordWake(const Napi::CallbackInfo& info);
Napi::Value WordSetAndWake(const Napi::CallbackInfo& info);
Napi::Value OnWaitEnd(const Napi::CallbackInfo& info);
Napi::Value WaitStart(const Napi::CallbackInfo& info);
Napi::Value WaitCancel(const Napi::CallbackInfo& info);
Napi::Value WaitRef(const Napi::CallbackInfo& info);
Napi::Value WaitAbandon(const Napi::CallbackInfo& info);

// buffer_cache.cc
Napi::Value TakeBuffer(const Napi::CallbackInfo& info);
Napi::Value TrimBuffers(const Napi::CallbackInfo& info);

// children.cc
Napi::Value ChildProcessPids(const Napi::CallbackInfo& info);
Napi::Value AwaitChild(const Napi::CallbackInfo& info);
Napi::Value OpenPidFd(const Napi::CallbackInfo& info);
Napi::Value PollChild(const Napi::CallbackInfo& info);
Napi::Value GroupOf(const Napi::CallbackInfo& info);
Napi::Value BootClock(const Napi::CallbackInfo& info);
Napi::Value ClockTicks(const Napi::CallbackInfo& info);

// clean_child.cc
Napi::Value FlushStdio(const Napi::CallbackInfo& info);
Napi::Value ResetSignals(const Napi::CallbackInfo& info);
Napi::Value DropParentsWork(const Napi::CallbackInfo& info);
Napi::Value RefParentsHandles(const Napi::CallbackInfo& info);
Napi::Value UnrefParentsHandles(const Napi::CallbackInfo& info);
Napi::Value HasQueuedOutput(const Napi::CallbackInfo& info);
Napi::Value DetachInput(const Napi::CallbackInfo& info);
Napi::Value AbandonStack(const Napi::CallbackInfo& info);

// connection.cc
Napi::Value ConnectionExchange(const Napi::CallbackInfo& info);
Napi::Value ConnectionPair(const Napi::CallbackInfo& info);
Napi::Value SocketKind(const Napi::CallbackInfo& info);
Napi::Value Receive(const Napi::CallbackInfo& info);
Napi::Value Send(const Napi::CallbackInfo& info);
Napi::Value PollFd(const Napi::CallbackInfo& info);
Napi::Value PollFds(const Napi::CallbackInfo& info);
Napi::Value CloseFd(const Napi::CallbackInfo& info);

// constants.cc
Napi::Value Constants(const Napi::CallbackInfo& info);

// copy.cc
Napi::Value GiveAttributesOf(const Napi::CallbackInfo& info);
Napi::Value RenameFile(const Napi::CallbackInfo& info);
Napi::Value SetTimes(const Napi::CallbackInfo& info);
Napi::Value CopyFileRange(const Napi::CallbackInfo& info);
Napi::Value SeekData(const Napi::CallbackInfo& info);

// copy_files.cc
Napi::Value CopyFiles(const Napi::CallbackInfo& info);

// exec.cc
Napi::Value Exec(const Napi::CallbackInfo& info);

// fd.cc
Napi::Value Pipe2(const Napi::CallbackInfo& info);
Napi::Value SocketPair(const Napi::CallbackInfo& info);
Napi::Value Dup(const Napi::CallbackInfo& info);
Napi::Value Dup2(const Napi::CallbackInfo& info);
Napi::Value OpenFds(const Napi::CallbackInfo& info);
Napi::Value GetCloseOnExec(const Napi::CallbackInfo& info);
Napi::Value SetCloseOnExec(const Napi::CallbackInfo& info);

// file_lock.cc
Napi::Value TryLock(const Napi::CallbackInfo& info);

// folder.cc
Napi::Value ListFolder(const Napi::CallbackInfo& info);

// fork.cc
Napi::Value Fork(const Napi::CallbackInfo& info);
Napi::Value ForkFacts(const Napi::CallbackInfo& info);

// guard.cc
Napi::Value SetForkGuard(const Napi::CallbackInfo& info);
Napi::Value CountForkGuard(const Napi::CallbackInfo& info);
Napi::Value LiftForkGuard(const Napi::CallbackInfo& info);

// identity.cc
Napi::Value FollowCredentials(const Napi::CallbackInfo& info);
Napi::Value GetPid(const Napi::CallbackInfo& info);
Napi::Value GetPPid(const Napi::CallbackInfo& info);
Napi::Value GetTid(const Napi::CallbackInfo& info);
Napi::Value GetPGid(const Napi::CallbackInfo& info);
Napi::Value SetPGid(const Napi::CallbackInfo& info);
Napi::Value GetPGrp(const Napi::CallbackInfo& info);
Napi::Value SetSid(const Napi::CallbackInfo& info);
Napi::Value GetSid(const Napi::CallbackInfo& info);
Napi::Value TcGetPGrp(const Napi::CallbackInfo& info);
Napi::Value TcSetPGrp(const Napi::CallbackInfo& info);

// leave.cc
Napi::Value ExitNow(const Napi::CallbackInfo& info);
Napi::Value LeaveNow(const Napi::CallbackInfo& info);

// listener.cc
Napi::Value ListenAt(const Napi::CallbackInfo& info);
Napi::Value AcceptAt(const Napi::CallbackInfo& info);
Napi::Value ConnectTo(const Napi::CallbackInfo& info);
Napi::Value FinishConnecting(const Napi::CallbackInfo& info);
Napi::Value SocketAddress(const Napi::CallbackInfo& info);
Napi::Value ResolveHost(const Napi::CallbackInfo& info);

// poller.cc
Napi::Value PollerOpen(const Napi::CallbackInfo& info);
Napi::Value PollerArm(const Napi::CallbackInfo& info);
Napi::Value PollerDisarm(const Napi::CallbackInfo& info);
Napi::Value PollerAbandon(const Napi::CallbackInfo& info);

// spawn.cc
Napi::Value Spawn(const Napi::CallbackInfo& info);

// stdio.cc
Napi::Value HasInputHandle(const Napi::CallbackInfo& info);

// v8_bridge.cc
Napi::Value ReseedMathRandom(const Napi::CallbackInfo& info);
Napi::Value HasNamedKeys(const Napi::CallbackInfo& info);
Napi::Value InstallExitHandling(const Napi::CallbackInfo& info);
Napi::Value RecordExitCode(const Napi::CallbackInfo& info);

// clock.cc
Napi::Value Sleep(const Napi::CallbackInfo& info);

// limits.cc
Napi::Value GetRLimit(const Napi::CallbackInfo& info);
Napi::Value SetRLimit(const Napi::CallbackInfo& info);
Napi::Value GetRUsage(const Napi::CallbackInfo& info);
Napi::Value Times(const Napi::CallbackInfo& info);
Napi::Value UMask(const Napi::CallbackInfo& info);
Napi::Value SysConf(const Napi::CallbackInfo& info);
Napi::Value SysConfNames(const Napi::CallbackInfo& info);

// prctl.cc
Napi::Value SetChildSubreaper(const Napi::CallbackInfo& info);
Napi::Value GetChildSubreaper(const Napi::CallbackInfo& info);
Napi::Value SetParentDeathSignal(const Napi::CallbackInfo& info);
Napi::Value GetParentDeathSignal(const Napi::CallbackInfo& info);

// priority.cc
Napi::Value Nice(const Napi::CallbackInfo& info);
Napi::Value GetPriority(const Napi::CallbackInfo& info);
Napi::Value SetPriority(const Napi::CallbackInfo& info);

// shared_memory.cc
Napi::Value CreateSegment(const Napi::CallbackInfo& info);
Napi::Value AttachSegment(const Napi::CallbackInfo& info);
Napi::Value LinkSegment(const Napi::CallbackInfo& info);
Napi::Value UnlinkSegment(const Napi::CallbackInfo& info);
Napi::Value CloseSegment(const Napi::CallbackInfo& info);
// queue.cc
Napi::Value WordWaitEither(const Napi::CallbackInfo& info);
Napi::Value GivePagesBack(const Napi::CallbackInfo& info);
Napi::Value WriteFresh(const Napi::CallbackInfo& info);

// random.cc
Napi::Value DrawEntropy(const Napi::CallbackInfo& info);

// signal.cc
Napi::Value Kill(const Napi::CallbackInfo& info);
Napi::Value KillPg(const Napi::CallbackInfo& info);
Napi::Value Raise(const Napi::CallbackInfo& info);
Napi::Value Alarm(const Napi::CallbackInfo& info);
Napi::Value Pause(const Napi::CallbackInfo& info);
Napi::Value SigProcMask(const Napi::CallbackInfo& info);
Napi::Value SigPending(const Napi::CallbackInfo& info);
Napi::Value SigWait(const Napi::CallbackInfo& info);
Napi::Value SigTimedWait(const Napi::CallbackInfo& info);
Napi::Value SetITimer(const Napi::CallbackInfo& info);
Napi::Value GetITimer(const Napi::CallbackInfo& info);

// wait.cc
Napi::Value Wait(const Napi::CallbackInfo& info);
Napi::Value WaitPid(const Napi::CallbackInfo& info);
Napi::Value Wait4(const Napi::CallbackInfo& info);
Napi::Value WaitId(const Napi::CallbackInfo& info);

// wait_many.cc
Napi::Value PollFdsAndWords(const Napi::CallbackInfo& info);

// watch.cc
Napi::Value WatchPid(const Napi::CallbackInfo& info);
Napi::Value CollectWatched(const Napi::CallbackInfo& info);
Napi::Value WatchSignals(const Napi::CallbackInfo& info);
Napi::Value WatchDescriptor(const Napi::CallbackInfo& info);
Napi::Value SetWatchEvents(const Napi::CallbackInfo& info);
Napi::Value RefWatch(const Napi::CallbackInfo& info);
Napi::Value Unwatch(const Napi::CallbackInfo& info);
Napi::Value WatchChildSignal(const Napi::CallbackInfo& info);
Napi::Value RefChildSignal(const Napi::CallbackInfo& info);
Napi::Value UnwatchChildSignal(const Napi::CallbackInfo& info);
Napi::Value AbandonWatches(const Napi::CallbackInfo& info);

}  // namespace realfork

#endif  // REALFORK_NATIVE_BINDINGS_H_
