#include "heap.h"

#if defined(__linux__)

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <vector>

#include "proc_maps.h"
#include "v8_bridge.h"

namespace realfork::heap {

namespace {

#if defined(__x86_64__)
constexpr unsigned kJumpSlot = R_X86_64_JUMP_SLOT;
constexpr unsigned kGlobDat = R_X86_64_GLOB_DAT;
#elif defined(__aarch64__)
constexpr unsigned kJumpSlot = R_AARCH64_JUMP_SLOT;
constexpr unsigned kGlobDat = R_AARCH64_GLOB_DAT;
#endif

// Where the object that holds V8 keeps the address of madvise(2); empty where that was not found.
std::vector<void**> slots;
bool redirected = false;

// Takes the place of madvise(2) in the object that holds V8.
int MadviseWithoutDontFork(void* address, size_t length, int advice) {
  if (advice == MADV_DONTFORK) return 0;
  return madvise(address, length, advice);
}

#if defined(__x86_64__) || defined(__aarch64__)

struct Dynamic {
  const ElfW(Sym) * symbols = nullptr;
  const char* strings = nullptr;
  const ElfW(Rela) * tables[2] = {nullptr, nullptr};
  size_t lengths[2] = {0, 0};
};

Dynamic ReadDynamic(const dl_phdr_info* object) {
  Dynamic found;
  const ElfW(Dyn)* entry = nullptr;
  for (int i = 0; i < object->dlpi_phnum; i++) {
    if (object->dlpi_phdr[i].p_type == PT_DYNAMIC) {
      entry = reinterpret_cast<const ElfW(Dyn)*>(object->dlpi_addr + object->dlpi_phdr[i].p_vaddr);
    }
  }
  // glibc has relocated these addresses in place (elf/dl-reloc: ADJUST_DYN_INFO) on the machines we build for.
  for (; entry != nullptr && entry->d_tag != DT_NULL; entry++) {
    switch (entry->d_tag) {
      case DT_SYMTAB:
        found.symbols = reinterpret_cast<const ElfW(Sym)*>(entry->d_un.d_ptr);
        break;
      case DT_STRTAB:
        found.strings = reinterpret_cast<const char*>(entry->d_un.d_ptr);
        break;
      case DT_JMPREL:
        found.tables[0] = reinterpret_cast<const ElfW(Rela)*>(entry->d_un.d_ptr);
        break;
      case DT_PLTRELSZ:
        found.lengths[0] = entry->d_un.d_val / sizeof(ElfW(Rela));
        break;
      case DT_RELA:
        found.tables[1] = reinterpret_cast<const ElfW(Rela)*>(entry->d_un.d_ptr);
        break;
      case DT_RELASZ:
        found.lengths[1] = entry->d_un.d_val / sizeof(ElfW(Rela));
        break;
    }
  }
  return found;
}

// Where the linker has made the GOT read-only (-z relro, -z now) its page is opened for the one store.
bool Store(void** slot, void* value) {
  const uintptr_t page_size = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
  void* page = reinterpret_cast<void*>(reinterpret_cast<uintptr_t>(slot) & ~(page_size - 1));
  if (mprotect(page, page_size, PROT_READ | PROT_WRITE) != 0) return false;
  __atomic_store_n(slot, value, __ATOMIC_SEQ_CST);
  // Left writable on purpose when the linker did not protect it; there is no cheap way to know, and a protected page
  // that other relocations share was only ever written by the loader.
  return true;
}

bool HoldsAddress(const dl_phdr_info* object, uintptr_t address) {
  for (int i = 0; i < object->dlpi_phnum; i++) {
    const auto& header = object->dlpi_phdr[i];
    const uintptr_t begin = object->dlpi_addr + header.p_vaddr;
    if (header.p_type == PT_LOAD && address >= begin && address < begin + header.p_memsz) return true;
  }
  return false;
}

int FindSlots(dl_phdr_info* object, size_t, void* address_in_v8) {
  if (!HoldsAddress(object, reinterpret_cast<uintptr_t>(address_in_v8))) return 0;
  const Dynamic dynamic = ReadDynamic(object);
  if (dynamic.symbols == nullptr || dynamic.strings == nullptr) return 1;
  for (int table = 0; table < 2; table++) {
    for (size_t i = 0; i < dynamic.lengths[table]; i++) {
      const ElfW(Rela)& relocation = dynamic.tables[table][i];
      const auto type = ELF64_R_TYPE(relocation.r_info);
      if (type != kJumpSlot && type != kGlobDat) continue;
      const ElfW(Sym)& symbol = dynamic.symbols[ELF64_R_SYM(relocation.r_info)];
      if (strcmp(dynamic.strings + symbol.st_name, "madvise") != 0) continue;
      slots.push_back(reinterpret_cast<void**>(object->dlpi_addr + relocation.r_offset));
    }
  }
  return 1;
}

void LookForSlots() {
  static const bool is_done = [] {
    dl_iterate_phdr(FindSlots, v8_bridge::AddressInsideV8());
    return true;
  }();
  (void)is_done;
}

// The redirection points into this library, which stays loaded: it is linked with -z nodelete.
void Redirect() {
  LookForSlots();
  for (void** slot : slots) {
    if (Store(slot, reinterpret_cast<void*>(MadviseWithoutDontFork))) redirected = true;
  }
}

#else

void LookForSlots() {}
void Redirect() {}

#endif

// A mapping of a file has an inode, [heap], [stack] and [vdso] have a name; V8's have neither, or the name that
// PR_SET_VMA_ANON_NAME gave them ([anon:...]).
int UnmarkAll() {
  std::vector<ProcMapping> mappings;
  if (const int error = ReadProcMaps(&mappings); error != 0) return error;
  for (const ProcMapping& mapping : mappings) {
    if (mapping.inode != 0 || !(mapping.name.empty() || mapping.name.rfind("[anon:", 0) == 0)) continue;
    madvise(reinterpret_cast<void*>(mapping.begin), mapping.end - mapping.begin, MADV_DOFORK);
  }
  return 0;
}

}  // namespace

int MakeInheritable() {
  static bool is_done = false;
  if (is_done && redirected) return 0;
  if (!redirected) Redirect();
  const int error = UnmarkAll();
  is_done = error == 0;
  return error;
}

Inheritance Method() {
  LookForSlots();
  return slots.empty() ? Inheritance::kScan : Inheritance::kRedirect;
}

}  // namespace realfork::heap

#else  // !__linux__

namespace realfork::heap {

int MakeInheritable() {
  return 0;
}
Inheritance Method() {
  return Inheritance::kNative;
}

}  // namespace realfork::heap

#endif
