// What one Node environment (the main thread, or one Worker) keeps for this addon.
#ifndef REALFORK_NATIVE_ADDON_DATA_H_
#define REALFORK_NATIVE_ADDON_DATA_H_

#include <napi.h>

#include <memory>

#include "poller.h"
#include "waiter.h"
#include "watch.h"

namespace realfork {

struct AddonData {
  Napi::FunctionReference error_factory;
  Napi::ObjectReference exchange_buffer;  // connection.cc: the memory it shares with JavaScript, and where it is
  void* exchange = nullptr;
  std::unique_ptr<poller::Poller> poller;
  std::unique_ptr<watch::Watches> watches;  // made by watch.cc on first use
  std::unique_ptr<waiter::Waits> waits;     // made by arena_bindings.cc
};

}  // namespace realfork

#endif  // REALFORK_NATIVE_ADDON_DATA_H_
