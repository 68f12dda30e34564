// Arguments as the bindings read them: TypeScript has validated their types and ranges (lib/validate.ts).
#ifndef REALFORK_NATIVE_ARGUMENTS_H_
#define REALFORK_NATIVE_ARGUMENTS_H_

#include <napi.h>

namespace realfork {

inline int32_t IntArgument(const Napi::CallbackInfo& info, size_t index) {
  return info[index].As<Napi::Number>().Int32Value();
}

}  // namespace realfork

#endif  // REALFORK_NATIVE_ARGUMENTS_H_
