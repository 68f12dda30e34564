// The allocator. A process can be killed between any two of its instructions; who gets its lock from a dead holder
// rebuilds the lists of free cells and blocks from their states, which are changed by one store each:
//
//     block   (beyond blocks_end)   --header written, blocks_end moved-->   kUsed
//             kUsed --> kDirty --contents dropped--> kFree, on its list --> kUsed
//
// Blocks are never cut or joined: their sizes are four to each power of two, and what has not been written in them
// takes address space only.
#include "arena_heap.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>

#include "arena.h"
#include "robust.h"

namespace realfork::arena {

namespace {

constexpr uint64_t kPage = 4096;
// Below this the contents are cleared by writing zeros, above by giving the pages back to the kernel.
constexpr uint64_t kDropLimit = 64 * 1024;

// Sizes with header: multiples of 64 to 1,024, then 1.25, 1.5, 1.75 and 2 times each power of two.
unsigned ClassOf(uint64_t total) {
  if (total <= 1024) return static_cast<unsigned>((total + 63) / 64);
  const unsigned power = 63 - static_cast<unsigned>(__builtin_clzll(total - 1));
  const uint64_t step = (1ull << power) / 4;
  const uint64_t part = (total - 1 - (1ull << power)) / step;
  return 17 + (power - 10) * 4 + static_cast<unsigned>(part);
}

uint64_t SizeOf(unsigned size_class) {
  if (size_class <= 16) return size_class * 64ull;
  const unsigned power = 10 + (size_class - 17) / 4;
  return (1ull << power) + ((1ull << power) / 4) * ((size_class - 17) % 4 + 1);
}

void Clear(uint64_t begin, uint64_t end) {
  if (end - begin < kDropLimit) {
    memset(Base() + begin, 0, end - begin);
    return;
  }
  const uint64_t first = (begin + kPage - 1) & ~(kPage - 1);
  const uint64_t last = end & ~(kPage - 1);
  memset(Base() + begin, 0, first - begin);
  memset(Base() + last, 0, end - last);
#if defined(__linux__)
  if (fallocate(Descriptor(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, static_cast<off_t>(first),
                static_cast<off_t>(last - first)) == 0) {
    return;
  }
#endif
  memset(Base() + first, 0, last - first);
}

void PutOnList(uint64_t offset) {
  Header* header = HeaderOf();
  Block* block = BlockAt(offset);
  block->next = header->free_block[block->size_class];
  header->free_block[block->size_class] = offset;
}

void Drop(uint64_t offset) {
  Block* block = BlockAt(offset);
  block->state.store(kDirty);
  Clear(offset, offset + SizeOf(block->size_class) - sizeof(Block));
  block->state.store(kFree);
  PutOnList(offset);
}

template <typename Visit>
void ForEachBlock(Visit visit) {
  const uint64_t end = HeaderOf()->blocks_end;
  for (uint64_t start = kCellsEnd; start < end;) {
    const uint64_t offset = start + sizeof(Block);
    const unsigned size_class = BlockAt(offset)->size_class;
    if (size_class == 0 || size_class >= kClasses) return;
    visit(offset, BlockAt(offset));
    start += SizeOf(size_class);
  }
}

template <typename Visit>
void ForEachCell(Visit visit) {
  const uint32_t end = HeaderOf()->cells_used.load();
  for (uint64_t offset = kCellsOffset; offset < end * static_cast<uint64_t>(kCellSize); offset += kCellSize) {
    visit(offset, CellAt(offset));
  }
}

// A free cell's second word is the number of the next one.
void PutCellOnList(uint64_t offset) {
  Header* header = HeaderOf();
  CellAt(offset)->words[1].store(header->free_cell.load());
  header->free_cell.store(static_cast<uint32_t>(offset / kCellSize));
}

void Rebuild() {
  Header* header = HeaderOf();
  header->free_cell.store(0);
  std::fill_n(header->free_block, kClasses, 0);
  ForEachCell([](uint64_t offset, Cell* cell) {
    if (cell->state.load() != kFree) return;
    for (Word& word : cell->words) word.store(0);
    PutCellOnList(offset);
  });
  ForEachBlock([](uint64_t offset, Block* block) {
    const uint32_t state = block->state.load();
    if (state == kFree) PutOnList(offset);
    if (state == kDirty) Drop(offset);
  });
}

class Holding {
 public:
  Holding() : hold_(&HeaderOf()->lock) {
    if (hold_.from_dead()) Rebuild();
  }

 private:
  robust::Hold hold_;
};

// Tells Sweep whom it is for. A process without a slot is nobody: then nothing of its is ever found unused.
template <typename Item>
void Own(Item* item) {
  item->owner.store(OwnSlot());
  item->born.store(HeaderOf()->epoch.load());
  item->sent.store(0);
  item->state.store(kUsed);
}

void EraseCell(uint64_t offset) {
  Cell* cell = CellAt(offset);
  if (cell->state.load() != kUsed) return;
  robust::Unlink(offset);  // what the cell will be next may have a number like this thread's id in its first word
  cell->state.store(kFree);
  for (Word& word : cell->words) word.store(0);
  PutCellOnList(offset);
}

// Items of the living are freed by themselves. An owner's slot may have a new owner: then the item waits for that one.
template <typename Item>
bool IsAbandoned(const Item& item) {
  return item.state.load() == kUsed && item.owner.load() != OwnSlot() && !SlotLives(item.owner.load()) &&
         static_cast<int32_t>(item.born.load() - HeaderOf()->epoch.load()) <= 0 && item.sent.load() == 0 &&
         !SomebodyCanHave(item.born.load(), false);
}

template <typename Item, typename Free>
const char* Consider(const Item& item, Free free_it) {
  if (item.state.load() != kUsed || item.owner.load() != OwnSlot()) return "never";
  if (SomebodyCanHave(item.born.load(), item.sent.load() != 0)) return "later";
  free_it();
  return "freed";
}

}  // namespace

uint64_t AllocateCell() {
  const Holding holding;
  Header* header = HeaderOf();
  uint64_t offset = static_cast<uint64_t>(header->free_cell.load()) * kCellSize;
  if (offset != 0) {
    header->free_cell.store(CellAt(offset)->words[1].load());
    CellAt(offset)->words[1].store(0);
  } else {
    const uint32_t index = header->cells_used.load();
    offset = static_cast<uint64_t>(index) * kCellSize;
    if (offset >= kCellsEnd) return 0;
    header->cells_used.store(index + 1);
  }
  Own(CellAt(offset));
  return offset;
}

uint64_t AllocateBlock(uint64_t bytes) {
  if (bytes > Size() - kCellsEnd - sizeof(Block)) return 0;
  const unsigned size_class = ClassOf(bytes + sizeof(Block));
  if (size_class >= kClasses) return 0;
  const Holding holding;
  Header* header = HeaderOf();
  uint64_t offset = header->free_block[size_class];
  if (offset != 0) {
    header->free_block[size_class] = BlockAt(offset)->next;
  } else {
    const uint64_t start = header->blocks_end;
    if (SizeOf(size_class) > Size() - start) return 0;
    offset = start + sizeof(Block);
    BlockAt(offset)->size_class = size_class;
    std::atomic_thread_fence(std::memory_order_seq_cst);
    header->blocks_end = start + SizeOf(size_class);
  }
  BlockAt(offset)->bytes = bytes;
  Own(BlockAt(offset));
  return offset;
}

void FreeCell(uint64_t offset) {
  const Holding holding;
  EraseCell(offset);
}

bool IsBlock(uint64_t offset) {
  return offset > kCellsEnd && offset % kCellSize == 0 && offset <= HeaderOf()->blocks_end &&
         BlockAt(offset)->state.load() == kUsed;
}

const char* Reclaim(uint64_t offset) {
  const bool is_cell = offset < kCellsEnd;
  const Holding holding;
  return is_cell ? Consider(*CellAt(offset), [&] { EraseCell(offset); })
                 : Consider(*BlockAt(offset), [&] { Drop(offset); });
}

void Sweep() {
  const Holding holding;
  ForEachCell([](uint64_t offset, Cell* cell) {
    if (IsAbandoned(*cell)) EraseCell(offset);
  });
  ForEachBlock([](uint64_t offset, Block* block) {
    if (IsAbandoned(*block)) Drop(offset);
  });
}

}  // namespace realfork::arena
