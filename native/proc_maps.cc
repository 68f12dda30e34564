#include "proc_maps.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

namespace realfork {

namespace {

int ReadText(std::string* text) {
  const int fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
  if (fd < 0) return errno;
  char block[65536];
  ssize_t length;
  while ((length = read(fd, block, sizeof block)) > 0) text->append(block, static_cast<size_t>(length));
  const int error = length < 0 ? errno : 0;
  close(fd);
  return error;
}

}  // namespace

int ReadProcMaps(std::vector<ProcMapping>* mappings) {
  std::string text;
  if (const int error = ReadText(&text); error != 0) return error;
  for (const char* line = text.c_str(); *line != '\0';) {
    const char* next = strchr(line, '\n');
    if (next == nullptr) break;
    ProcMapping mapping{};
    int name_at = 0;
    if (sscanf(line, "%" SCNxPTR "-%" SCNxPTR " %*s %*s %*s %" SCNu64 "%n", &mapping.begin, &mapping.end,
               &mapping.inode, &name_at) == 3) {
      const char* name = line + name_at;
      while (*name == ' ') name++;
      mapping.name.assign(name, static_cast<size_t>(next - name));
      mappings->push_back(std::move(mapping));
    }
    line = next + 1;
  }
  return 0;
}

}  // namespace realfork
