#include "posix_error.h"

#include <errno.h>

#include <cstring>

#include "addon_data.h"

namespace realfork {

namespace {

struct NamedErrno {
  const char* name;
  int value;
};

// errno(3) beyond what os.constants.errno has: execve(2) can answer ELIBBAD, a damaged file system EUCLEAN.
constexpr NamedErrno kErrnosUnknownToNode[] = {
#ifdef ENOTBLK
    {"ENOTBLK", ENOTBLK},
#endif
#ifdef ECHRNG
    {"ECHRNG", ECHRNG},
#endif
#ifdef EL2NSYNC
    {"EL2NSYNC", EL2NSYNC},
#endif
#ifdef EL3HLT
    {"EL3HLT", EL3HLT},
#endif
#ifdef EL3RST
    {"EL3RST", EL3RST},
#endif
#ifdef ELNRNG
    {"ELNRNG", ELNRNG},
#endif
#ifdef EUNATCH
    {"EUNATCH", EUNATCH},
#endif
#ifdef ENOCSI
    {"ENOCSI", ENOCSI},
#endif
#ifdef EL2HLT
    {"EL2HLT", EL2HLT},
#endif
#ifdef EBADE
    {"EBADE", EBADE},
#endif
#ifdef EBADR
    {"EBADR", EBADR},
#endif
#ifdef EXFULL
    {"EXFULL", EXFULL},
#endif
#ifdef ENOANO
    {"ENOANO", ENOANO},
#endif
#ifdef EBADRQC
    {"EBADRQC", EBADRQC},
#endif
#ifdef EBADSLT
    {"EBADSLT", EBADSLT},
#endif
#ifdef EBFONT
    {"EBFONT", EBFONT},
#endif
#ifdef ENONET
    {"ENONET", ENONET},
#endif
#ifdef ENOPKG
    {"ENOPKG", ENOPKG},
#endif
#ifdef EREMOTE
    {"EREMOTE", EREMOTE},
#endif
#ifdef EADV
    {"EADV", EADV},
#endif
#ifdef ESRMNT
    {"ESRMNT", ESRMNT},
#endif
#ifdef ECOMM
    {"ECOMM", ECOMM},
#endif
#ifdef EDOTDOT
    {"EDOTDOT", EDOTDOT},
#endif
#ifdef ENOTUNIQ
    {"ENOTUNIQ", ENOTUNIQ},
#endif
#ifdef EBADFD
    {"EBADFD", EBADFD},
#endif
#ifdef EREMCHG
    {"EREMCHG", EREMCHG},
#endif
#ifdef ELIBACC
    {"ELIBACC", ELIBACC},
#endif
#ifdef ELIBBAD
    {"ELIBBAD", ELIBBAD},
#endif
#ifdef ELIBSCN
    {"ELIBSCN", ELIBSCN},
#endif
#ifdef ELIBMAX
    {"ELIBMAX", ELIBMAX},
#endif
#ifdef ELIBEXEC
    {"ELIBEXEC", ELIBEXEC},
#endif
#ifdef ERESTART
    {"ERESTART", ERESTART},
#endif
#ifdef ESTRPIPE
    {"ESTRPIPE", ESTRPIPE},
#endif
#ifdef EUSERS
    {"EUSERS", EUSERS},
#endif
#ifdef ESOCKTNOSUPPORT
    {"ESOCKTNOSUPPORT", ESOCKTNOSUPPORT},
#endif
#ifdef EPFNOSUPPORT
    {"EPFNOSUPPORT", EPFNOSUPPORT},
#endif
#ifdef ESHUTDOWN
    {"ESHUTDOWN", ESHUTDOWN},
#endif
#ifdef ETOOMANYREFS
    {"ETOOMANYREFS", ETOOMANYREFS},
#endif
#ifdef EHOSTDOWN
    {"EHOSTDOWN", EHOSTDOWN},
#endif
#ifdef EUCLEAN
    {"EUCLEAN", EUCLEAN},
#endif
#ifdef ENOTNAM
    {"ENOTNAM", ENOTNAM},
#endif
#ifdef ENAVAIL
    {"ENAVAIL", ENAVAIL},
#endif
#ifdef EISNAM
    {"EISNAM", EISNAM},
#endif
#ifdef EREMOTEIO
    {"EREMOTEIO", EREMOTEIO},
#endif
#ifdef ENOMEDIUM
    {"ENOMEDIUM", ENOMEDIUM},
#endif
#ifdef EMEDIUMTYPE
    {"EMEDIUMTYPE", EMEDIUMTYPE},
#endif
#ifdef ENOKEY
    {"ENOKEY", ENOKEY},
#endif
#ifdef EKEYEXPIRED
    {"EKEYEXPIRED", EKEYEXPIRED},
#endif
#ifdef EKEYREVOKED
    {"EKEYREVOKED", EKEYREVOKED},
#endif
#ifdef EKEYREJECTED
    {"EKEYREJECTED", EKEYREJECTED},
#endif
#ifdef EOWNERDEAD
    {"EOWNERDEAD", EOWNERDEAD},
#endif
#ifdef ENOTRECOVERABLE
    {"ENOTRECOVERABLE", ENOTRECOVERABLE},
#endif
#ifdef ERFKILL
    {"ERFKILL", ERFKILL},
#endif
#ifdef EHWPOISON
    {"EHWPOISON", EHWPOISON},
#endif
#ifdef EBADARCH
    {"EBADARCH", EBADARCH},
#endif
#ifdef EBADEXEC
    {"EBADEXEC", EBADEXEC},
#endif
#ifdef EBADMACHO
    {"EBADMACHO", EBADMACHO},
#endif
#ifdef EBADRPC
    {"EBADRPC", EBADRPC},
#endif
#ifdef EPROGMISMATCH
    {"EPROGMISMATCH", EPROGMISMATCH},
#endif
#ifdef EPROGUNAVAIL
    {"EPROGUNAVAIL", EPROGUNAVAIL},
#endif
#ifdef EPROCLIM
    {"EPROCLIM", EPROCLIM},
#endif
#ifdef EPROCUNAVAIL
    {"EPROCUNAVAIL", EPROCUNAVAIL},
#endif
#ifdef ERPCMISMATCH
    {"ERPCMISMATCH", ERPCMISMATCH},
#endif
#ifdef EAUTH
    {"EAUTH", EAUTH},
#endif
#ifdef ENEEDAUTH
    {"ENEEDAUTH", ENEEDAUTH},
#endif
#ifdef EFTYPE
    {"EFTYPE", EFTYPE},
#endif
#ifdef ENOATTR
    {"ENOATTR", ENOATTR},
#endif
#ifdef ENOPOLICY
    {"ENOPOLICY", ENOPOLICY},
#endif
#ifdef EPWROFF
    {"EPWROFF", EPWROFF},
#endif
#ifdef EDEVERR
    {"EDEVERR", EDEVERR},
#endif
#ifdef ESHLIBVERS
    {"ESHLIBVERS", ESHLIBVERS},
#endif
#ifdef EQFULL
    {"EQFULL", EQFULL},
#endif
};

}  // namespace

Napi::Value ThrowErrno(Napi::Env env, int error, const char* syscall, const ErrnoDetail& detail) {
  AddonData* data = env.GetInstanceData<AddonData>();
  Napi::Object extra = Napi::Object::New(env);
  if (detail.pid != -1) extra.Set("pid", static_cast<double>(detail.pid));
  if (detail.fd != -1) extra.Set("fd", static_cast<double>(detail.fd));
  if (detail.path != nullptr) extra.Set("path", detail.path);
  if (data == nullptr || data->error_factory.IsEmpty()) {
    // Only while lib/errors.ts has not been loaded, which lib/native.ts does before anything else.
    Napi::Error::New(env, std::string(std::strerror(error)) + ", " + syscall).ThrowAsJavaScriptException();
    return env.Undefined();
  }
  Napi::Value made = data->error_factory.Call({Napi::Number::New(env, error), Napi::String::New(env, syscall), extra});
  if (!env.IsExceptionPending()) napi_throw(env, made);
  return env.Undefined();
}

Napi::Value SetErrorFactory(const Napi::CallbackInfo& info) {
  info.Env().GetInstanceData<AddonData>()->error_factory = Napi::Persistent(info[0].As<Napi::Function>());
  return info.Env().Undefined();
}

Napi::Value ErrnoNames(const Napi::CallbackInfo& info) {
  Napi::Object names = Napi::Object::New(info.Env());
  for (const NamedErrno& named : kErrnosUnknownToNode) names.Set(named.name, named.value);
  return names;
}

Napi::Value StrError(const Napi::CallbackInfo& info) {
  return Napi::String::New(info.Env(), std::strerror(info[0].As<Napi::Number>().Int32Value()));
}

}  // namespace realfork
