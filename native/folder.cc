// A folder's entries with what lstat(2) says of each, in one call: Node's fs takes one call and one object an entry,
// which is most of the time of planning a copy.
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "bindings.h"
#include "copy.h"

namespace realfork {

namespace {

struct CloseFolder {
  void operator()(DIR* folder) const {
    closedir(folder);
  }
};

// The fields of an entry in `stats`; lib/copy/folder.ts reads them.
void Append(std::vector<double>* stats, const struct stat& stat) {
  stats->push_back(stat.st_mode);
  stats->push_back(static_cast<double>(stat.st_size));
  stats->push_back(static_cast<double>(stat.st_blocks));
  stats->push_back(static_cast<double>(stat.st_dev));
  stats->push_back(static_cast<double>(stat.st_ino));
  stats->push_back(static_cast<double>(stat.st_nlink));
}

}  // namespace

// Binding: listFolder(path) -> { names: string[], stats: Float64Array }, six numbers an entry. Path and names are
// latin1, a code unit a byte (see copy.h). An entry that has gone meanwhile is left out; one that cannot be looked at
// has the negative errno for its mode.
Napi::Value ListFolder(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  const std::string path = BytesOf(env, info[0]);
  ErrnoDetail detail;
  detail.path = path.c_str();
  const std::unique_ptr<DIR, CloseFolder> folder(opendir(path.c_str()));
  if (folder == nullptr) return ThrowErrno(env, errno, "opendir", detail);

  Napi::Array names = Napi::Array::New(env);
  std::vector<double> stats;
  uint32_t count = 0;
  for (;;) {
    errno = 0;  // readdir(3): the only way to tell the end from a failure
    const dirent* entry = readdir(folder.get());
    const int error = errno;
    if (entry == nullptr && error != 0) return ThrowErrno(env, error, "readdir", detail);
    if (entry == nullptr) break;
    if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
    struct stat stat = {};
    if (fstatat(dirfd(folder.get()), entry->d_name, &stat, AT_SYMLINK_NOFOLLOW) == 0) {
      Append(&stats, stat);
    } else if (errno == ENOENT) {
      continue;
    } else {
      stats.insert(stats.end(), {static_cast<double>(-errno), 0, 0, 0, 0, 0});
    }
    napi_value name;
    napi_create_string_latin1(env, entry->d_name, NAPI_AUTO_LENGTH, &name);
    names.Set(count++, Napi::Value(env, name));
  }
  Napi::Float64Array numbers = Napi::Float64Array::New(env, stats.size());
  std::copy(stats.begin(), stats.end(), numbers.Data());
  Napi::Object result = Napi::Object::New(env);
  result.Set("names", names);
  result.Set("stats", numbers);
  return result;
}

}  // namespace realfork
