// A forked child that is to run one function and nothing of its parent's: the steps that JavaScript cannot take.
// lib/process/clean-child.ts calls them in order and says why.
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>
#include <uv.h>

#include <utility>

#include "arguments.h"
#include "bindings.h"
#include "loop.h"
#include "v8_bridge.h"

namespace realfork {

namespace {

uv_loop_t* LoopOf(Napi::Env env) {
  uv_loop_t* loop = nullptr;
  napi_get_uv_event_loop(env, &loop);
  return loop;
}

// What a child begins with, once the stack it was forked on is gone. Lives as long as the process.
struct Beginning {
  Beginning(Napi::Function first, Napi::Function main, Napi::Function last)
      : prepare(Napi::Persistent(first)),
        target(Napi::Persistent(main)),
        idle(Napi::Persistent(last)),
        context(main.Env(), "realfork.process", Napi::Object::New(main.Env())) {}

  Napi::FunctionReference prepare;
  Napi::FunctionReference target;
  Napi::FunctionReference idle;
  Napi::AsyncContext context;
  uv_idle_t turn;
  bool waited = false;
};

// Runs it as Node runs its own callbacks: ticks and microtasks after it, an exception to 'uncaughtException'.
void RunCallback(const Beginning& beginning, const Napi::FunctionReference& function) {
  Napi::Env env = function.Env();
  if (napi_make_callback(env, beginning.context, env.Global(), function.Value(), 0, nullptr, nullptr) !=
      napi_pending_exception) {
    return;
  }
  napi_value error = nullptr;
  if (napi_get_and_clear_last_exception(env, &error) == napi_ok) napi_fatal_exception(env, error);
}

void OnTurn(uv_idle_t* turn) {
  // What the parent was closing is closed by the end of this turn.
  if (turn->loop->closing_handles != nullptr && !std::exchange(static_cast<Beginning*>(turn->data)->waited, true)) {
    return;
  }
  v8_bridge::EndTermination();
  uv_idle_stop(turn);
  auto* beginning = static_cast<Beginning*>(turn->data);
  Napi::Env env = beginning->target.Env();
  Napi::HandleScope scope(env);
  // Not as a callback: the hooks that it switches off would surround it.
  napi_call_function(env, env.Global(), beginning->prepare.Value(), 0, nullptr, nullptr);
  RunCallback(*beginning, beginning->target);
  // Most often that was all. The way out through the end of the loop takes longer.
  if (uv_loop_alive(turn->loop) == 0) RunCallback(*beginning, beginning->idle);
}

// The caught signal may have been meant for this very process: sent after fork(2), before its handlers were the child's
// own. From sigaction(2) on it acts by default, and what was noted before is sent again.
void ResetSignal(uv_handle_t* handle, void* caught) {
  if (handle->type != UV_SIGNAL || uv_is_closing(handle) || !uv_is_active(handle)) return;
  auto* watcher = reinterpret_cast<uv_signal_t*>(handle);
  struct sigaction by_default = {};
  by_default.sa_handler = SIG_DFL;
  sigaction(watcher->signum, &by_default, nullptr);
  if (watcher->caught_signals > watcher->dispatched_signals) {
    sigaddset(static_cast<sigset_t*>(caught), watcher->signum);
  }
}

}  // namespace

// Binding: flushStdio(), what other addons have printed through C's streams: else parent and child both write it.
Napi::Value FlushStdio(const Napi::CallbackInfo& info) {
  fflush(nullptr);
  return info.Env().Undefined();
}

// Binding: resetSignals() -> the numbers of those that came to this process and that no listener was told of.
Napi::Value ResetSignals(const Napi::CallbackInfo& info) {
  sigset_t caught;
  sigemptyset(&caught);
  uv_walk(LoopOf(info.Env()), ResetSignal, &caught);
  Napi::Array numbers = Napi::Array::New(info.Env());
  for (int number = 1; number < NSIG; number++) {
    if (sigismember(&caught, number) == 1) numbers.Set(numbers.Length(), Napi::Number::New(info.Env(), number));
  }
  return numbers;
}

// Binding: dropParentsWork() -> whether writes to stdout or stderr were dropped.
Napi::Value DropParentsWork(const Napi::CallbackInfo& info) {
  return Napi::Boolean::New(info.Env(), loop::DropParentsWork(LoopOf(info.Env())));
}

// Binding: refParentsHandles().
Napi::Value RefParentsHandles(const Napi::CallbackInfo& info) {
  loop::RefParentsHandles(LoopOf(info.Env()));
  return info.Env().Undefined();
}

// Binding: unrefParentsHandles().
Napi::Value UnrefParentsHandles(const Napi::CallbackInfo& info) {
  loop::UnrefParentsHandles(LoopOf(info.Env()));
  return info.Env().Undefined();
}

// Binding: hasQueuedOutput().
Napi::Value HasQueuedOutput(const Napi::CallbackInfo& info) {
  return Napi::Boolean::New(info.Env(), loop::HasQueuedOutput(LoopOf(info.Env())));
}

// Binding: detachInput(), /dev/null in the place of standard input. It may have been closed, and the lowest free number
// is then 0 at once.
Napi::Value DetachInput(const Napi::CallbackInfo& info) {
  const int empty = open("/dev/null", O_RDONLY);
  if (empty > STDIN_FILENO) {
    dup2(empty, STDIN_FILENO);
    close(empty);
  }
  return info.Env().Undefined();
}

// Binding: abandonStack(prepare, target, idle, empty): does not return to JavaScript. Every frame below is unwound
// without its `catch` and `finally`, and the loop calls the first two on its next turn, the third too if it has nothing
// left to do. The fourth is a function that does nothing.
Napi::Value AbandonStack(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  auto* beginning =
      new Beginning(info[0].As<Napi::Function>(), info[1].As<Napi::Function>(), info[2].As<Napi::Function>());
  beginning->turn.data = beginning;
  uv_idle_init(LoopOf(env), &beginning->turn);
  uv_idle_start(&beginning->turn, OnTurn);
  v8_bridge::DropMicrotasks();
  v8_bridge::TerminateStack();
  // V8 notices the request when it enters a function. Without this one, the statements up to the next call would run.
  napi_call_function(env, env.Global(), info[3], 0, nullptr, nullptr);
  return env.Undefined();
}

}  // namespace realfork
