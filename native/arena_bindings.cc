// Arena, robust locks and waits as lib/shared/arena.ts and lib/sync see them. Offsets are numbers: 64 GB fit a double.
#include <math.h>
#include <string.h>

#include "addon_data.h"
#include "arena.h"
#include "arena_heap.h"
#include "arguments.h"
#include "bindings.h"
#include "robust.h"
#include "v8_bridge.h"
#include "waiter.h"

namespace realfork {

namespace {

using shared::Word;

uint64_t OffsetArgument(const Napi::CallbackInfo& info, size_t index) {
  return static_cast<uint64_t>(info[index].As<Napi::Number>().DoubleValue());
}

Word* WordArgument(const Napi::CallbackInfo& info, size_t index) {
  return arena::WordAt(OffsetArgument(info, index));
}

// Milliseconds; negative waits for ever.
int64_t DeadlineArgument(const Napi::CallbackInfo& info, size_t index) {
  const double milliseconds = info[index].As<Napi::Number>().DoubleValue();
  if (!(milliseconds >= 0)) return shared::kForEver;
  // Beyond a century the sum would overflow; nobody lives to see the difference.
  return shared::Now() + static_cast<int64_t>(fmin(milliseconds, 3e12) * 1e6);
}

Napi::Value Number(const Napi::CallbackInfo& info, double value) {
  return Napi::Number::New(info.Env(), value);
}

Napi::Value Boolean(const Napi::CallbackInfo& info, bool value) {
  return Napi::Boolean::New(info.Env(), value);
}

// V8 takes the length of an ArrayBuffer for memory that it could free, and collects garbage whenever 64 MB have come
// up: two queues of 32 MB, of which hardly anything is in use.
Napi::Value SparseBuffer(Napi::Env env, void* data, size_t bytes) {
  const napi_value buffer = v8_bridge::NewUncountedBuffer(data, bytes);
  if (buffer != nullptr) return {env, buffer};
  return Napi::ArrayBuffer::New(env, data, bytes);
}

waiter::Waits* WaitsOf(const Napi::CallbackInfo& info) {
  return info.Env().GetInstanceData<AddonData>()->waits.get();
}

}  // namespace

// Binding: arenaOpen(fd, slot) -> 0 or an errno; fd -1 makes a new one, slot -1 is none.
Napi::Value ArenaOpen(const Napi::CallbackInfo& info) {
  return Number(info, arena::Open(IntArgument(info, 0), static_cast<unsigned>(IntArgument(info, 1))));
}

// Binding: reserveSlot() -> a slot for a process that will join by exec, -1 when there is none.
Napi::Value ReserveSlot(const Napi::CallbackInfo& info) {
  return Number(info, static_cast<int>(arena::ReserveSlotForJoining()));
}

// Binding: arenaFacts() -> { fd, size, id, words, pending, firstCell }.
Napi::Value ArenaFacts(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  Napi::Object facts = Napi::Object::New(env);
  facts.Set("fd", arena::Descriptor());
  facts.Set("size", static_cast<double>(arena::Size()));
  facts.Set("id", Napi::Buffer<uint8_t>::Copy(env, arena::HeaderOf()->id, sizeof arena::HeaderOf()->id));
  facts.Set("words", SparseBuffer(env, arena::Base(), arena::kCellsEnd));
  facts.Set("pending", Napi::ArrayBuffer::New(env, &robust::MainHead()->pending, sizeof(void*)));
  return facts;
}

// Binding: arenaSelf() -> the id that this process writes into locks.
Napi::Value ArenaSelf(const Napi::CallbackInfo& info) {
  return Number(info, robust::Self());
}

// Binding: allocateCell() -> offset, 0 when there is none left.
Napi::Value AllocateCell(const Napi::CallbackInfo& info) {
  return Number(info, static_cast<double>(arena::AllocateCell()));
}

// Binding: allocateBlock(bytes) -> offset, 0 when there is no room.
Napi::Value AllocateBlock(const Napi::CallbackInfo& info) {
  return Number(info, static_cast<double>(arena::AllocateBlock(OffsetArgument(info, 0))));
}

// Binding: blockBuffer(offset, isSparse) -> ArrayBuffer over the block, or undefined when none is there.
Napi::Value BlockBuffer(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  const uint64_t offset = OffsetArgument(info, 0);
  if (!arena::IsBlock(offset)) return env.Undefined();
  uint8_t* data = arena::Base() + offset;
  const size_t bytes = arena::BlockAt(offset)->bytes;
  if (info[1].As<Napi::Boolean>()) return SparseBuffer(env, data, bytes);
  return Napi::ArrayBuffer::New(env, data, bytes);
}

// Binding: accountFor(bytes): what V8 is to take for memory that it could free; negative when it is gone.
Napi::Value AccountFor(const Napi::CallbackInfo& info) {
  int64_t total = 0;
  napi_adjust_external_memory(info.Env(), info[0].As<Napi::Number>().Int64Value(), &total);
  return info.Env().Undefined();
}

// Binding: markSent(offset): another process may have it from now on, whenever that was forked.
Napi::Value MarkSent(const Napi::CallbackInfo& info) {
  const uint64_t offset = OffsetArgument(info, 0);
  (offset < arena::kCellsEnd ? arena::CellAt(offset)->sent : arena::BlockAt(offset)->sent).store(1);
  return info.Env().Undefined();
}

// Binding: reclaim(offset) -> 'freed', 'later' (some process may still have it), or 'never' (it is another process's).
Napi::Value Reclaim(const Napi::CallbackInfo& info) {
  return Napi::String::New(info.Env(), arena::Reclaim(OffsetArgument(info, 0)));
}

// Binding: freeCell(offset), of a process that is gone.
Napi::Value FreeCell(const Napi::CallbackInfo& info) {
  arena::FreeCell(OffsetArgument(info, 0));
  return info.Env().Undefined();
}

// Binding: arenaSlot() -> [slot, epoch of birth]: this process, among those of the family, dead or alive.
Napi::Value ArenaSlot(const Napi::CallbackInfo& info) {
  Napi::Array slot = Napi::Array::New(info.Env(), 2);
  slot.Set(0u, arena::OwnSlot());
  slot.Set(1u, arena::OwnBirth());
  return slot;
}

// Binding: slotLives(slot, born) -> whether that process still lives.
Napi::Value SlotLives(const Napi::CallbackInfo& info) {
  return Boolean(
      info, arena::MemberLives(info[0].As<Napi::Number>().Uint32Value(), info[1].As<Napi::Number>().Uint32Value()));
}

// Binding: sweepArena().
Napi::Value SweepArena(const Napi::CallbackInfo& info) {
  arena::Sweep();
  return info.Env().Undefined();
}

// Binding: robustLink(offset).
Napi::Value RobustLink(const Napi::CallbackInfo& info) {
  robust::Link(OffsetArgument(info, 0));
  return info.Env().Undefined();
}

// Binding: robustUnlink(offset).
Napi::Value RobustUnlink(const Napi::CallbackInfo& info) {
  robust::Unlink(OffsetArgument(info, 0));
  return info.Env().Undefined();
}

// Binding: robustTry(offset) -> 0 not taken, 1 taken, 2 taken from a dead holder.
Napi::Value RobustTry(const Napi::CallbackInfo& info) {
  return Number(info, static_cast<int>(robust::Try(WordArgument(info, 0))));
}

// Binding: robustAcquire(offset, milliseconds, patient) -> as robustTry.
Napi::Value RobustAcquire(const Napi::CallbackInfo& info) {
  const bool patient = info[2].As<Napi::Boolean>();
  return Number(info, static_cast<int>(robust::Acquire(WordArgument(info, 0), DeadlineArgument(info, 1), patient)));
}

// Binding: robustTryOrMark(offset) -> 1 or 2 as robustTry, else the word's value to wait for.
Napi::Value RobustTryOrMark(const Napi::CallbackInfo& info) {
  uint32_t expected = 0;
  const robust::Taken taken = robust::TryOrMark(WordArgument(info, 0), &expected);
  return Number(info, taken == robust::Taken::kNo ? expected : static_cast<uint32_t>(taken));
}

// Binding: robustRelease(offset, own) -> whether it was held, by this process when `own`.
Napi::Value RobustRelease(const Napi::CallbackInfo& info) {
  return Boolean(info, robust::Release(WordArgument(info, 0), info[1].As<Napi::Boolean>()));
}

// Binding: robustEntry(offset) -> what to write to `pending`, as the double of the same bits.
Napi::Value RobustEntry(const Napi::CallbackInfo& info) {
  void* entry = robust::EntryOf(WordArgument(info, 0));
  double bits = 0;
  static_assert(sizeof entry <= sizeof bits, "a pointer fits");
  memcpy(&bits, &entry, sizeof entry);
  return Number(info, bits);
}

// Binding: gateOpen(gate).
Napi::Value GateOpen(const Napi::CallbackInfo& info) {
  robust::OpenGate(WordArgument(info, 0));
  return info.Env().Undefined();
}

// Binding: gateTakeOrMark(gate, count) -> whether one was taken.
Napi::Value GateTakeOrMark(const Napi::CallbackInfo& info) {
  return Boolean(info, robust::TakeOneOrMark(WordArgument(info, 0), WordArgument(info, 1)));
}

// Binding: gateWait(gate, count, milliseconds) -> whether one was taken.
Napi::Value GateWait(const Napi::CallbackInfo& info) {
  return Boolean(info, robust::WaitAtGate(WordArgument(info, 0), WordArgument(info, 1), DeadlineArgument(info, 2)));
}

// Binding: wordWait(offset, expected, milliseconds) -> false when the time was over.
Napi::Value WordWait(const Napi::CallbackInfo& info) {
  const uint32_t expected = info[1].As<Napi::Number>().Uint32Value();
  return Boolean(info,
                 shared::Wait(WordArgument(info, 0), expected, DeadlineArgument(info, 2)) != shared::Woken::kTimedOut);
}

// Binding: wordWake(offset, count) -> how many were woken.
Napi::Value WordWake(const Napi::CallbackInfo& info) {
  return Number(info, shared::Wake(WordArgument(info, 0), IntArgument(info, 1)));
}

// Binding: wordSetAndWake(offset, bit).
Napi::Value WordSetAndWake(const Napi::CallbackInfo& info) {
  shared::SetAndWakeAll(WordArgument(info, 0), static_cast<uint32_t>(IntArgument(info, 1)));
  return info.Env().Undefined();
}

// Binding: onWaitEnd((id, timedOut) => void), before the first waitStart.
Napi::Value OnWaitEnd(const Napi::CallbackInfo& info) {
  AddonData* data = info.Env().GetInstanceData<AddonData>();
  if (data->waits == nullptr) data->waits = std::make_unique<waiter::Waits>(info.Env(), info[0].As<Napi::Function>());
  return info.Env().Undefined();
}

// Binding: waitStart(offset, expected, milliseconds, goal, passesOn, patient) -> the wait's id (greater than 0), or a
// negative errno. The goal is the number of waiter::Goal.
Napi::Value WaitStart(const Napi::CallbackInfo& info) {
  waiter::Job job;
  job.word = WordArgument(info, 0);
  job.expected = info[1].As<Napi::Number>().Uint32Value();
  job.deadline = DeadlineArgument(info, 2);
  job.goal = static_cast<waiter::Goal>(IntArgument(info, 3));
  job.passes_on = info[4].As<Napi::Boolean>();
  job.patient = info[5].As<Napi::Boolean>();
  return Number(info, WaitsOf(info)->Start(job));
}

// Binding: waitCancel(id): its end will not be told.
Napi::Value WaitCancel(const Napi::CallbackInfo& info) {
  WaitsOf(info)->Cancel(IntArgument(info, 0));
  return info.Env().Undefined();
}

// Binding: waitRef(keepsLoopAlive).
Napi::Value WaitRef(const Napi::CallbackInfo& info) {
  WaitsOf(info)->Ref(info[0].As<Napi::Boolean>());
  return info.Env().Undefined();
}

// Binding: waitAbandon(), in a forked child.
Napi::Value WaitAbandon(const Napi::CallbackInfo& info) {
  WaitsOf(info)->Abandon();
  return info.Env().Undefined();
}

}  // namespace realfork
