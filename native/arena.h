// The memory that a family of processes shares: one sparse file, mapped once, inherited by every process forked from
// then on at the same address. What lies in it is named by its offset, which means the same in all of them.
//
//     0          header, allocator's lock, lists of free blocks
//     64 KB      one slot for each process of the family
//     2 MB       cells of 64 bytes: locks and what is like them
//     64 MB      blocks of any size
//
// Cells lie apart from blocks because a lock that a process has held needs memory of that process's own beside it: the
// entry in the kernel's list of robust futexes (robust.h).
#ifndef REALFORK_NATIVE_ARENA_H_
#define REALFORK_NATIVE_ARENA_H_

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "shared_futex.h"
#include "unique_fd.h"

namespace realfork::arena {

using shared::Word;

constexpr size_t kCellSize = 64;
constexpr uint64_t kSlotsOffset = 64ull << 10;
constexpr uint64_t kCellsOffset = 2ull << 20;
constexpr uint64_t kCellsEnd = 64ull << 20;
constexpr unsigned kSlots = (kCellsOffset - kSlotsOffset) / kCellSize;
constexpr unsigned kClasses = 128;
constexpr unsigned kNoSlot = ~0u;

struct Header {
  uint32_t magic;
  uint32_t version;
  uint8_t id[16];
  uint64_t size;
  Word epoch;       // goes up before each fork: tells what a process can have inherited
  Word slots_used;  // slots from this one on have never been taken
  Word untracked;   // processes that found no slot: while there are any nothing is known to be unused
  Word cells_used;  // in cells
  Word free_cell;   // index of the first free one, 0 for none
  uint32_t reserved;
  uint64_t blocks_end;
  uint64_t free_block[kClasses];  // offset of the first, 0 for none
  alignas(64) Word lock;          // of everything above and of the states of cells and blocks
};

// A process of the family. The word is a robust futex that the process holds all its life.
struct Slot {
  Word life;
  Word born;         // the epoch of its fork
  Word reserved_by;  // pid of the forker, then of its child, until the child is in the slot
  Word since;        // joined then by exec, itself or who it descends from: has nothing older, but by message
  uint32_t unused[12];
};
static_assert(sizeof(Slot) == kCellSize, "slots are cells");

// What the allocator keeps in the last words of a cell; the words before are its user's.
struct Cell {
  Word words[12];
  Word owner;  // slot of the process that made it
  Word born;   // epoch at that time
  Word sent;   // went to another process by message
  Word state;
};
static_assert(sizeof(Cell) == kCellSize, "one cache line each");

// Stands before each block.
struct Block {
  uint64_t bytes;  // as asked for
  uint64_t next;   // free block of the same class
  uint32_t size_class;
  Word owner;
  Word born;
  Word sent;
  Word state;
  uint32_t unused[7];
};
static_assert(sizeof(Block) == 64, "keeps the data aligned");

enum State : uint32_t { kFree = 0, kUsed = 1, kDirty = 2 /* free, with old contents */ };

// Makes the arena, or maps that of `fd` (from a family member by exec; the descriptor is then the arena's) and enters
// the `slot` that the member has reserved. 0 or an errno. Once per process: later calls do nothing.
int Open(int fd = -1, unsigned slot = kNoSlot);
bool IsOpen();
int Descriptor();
// The arena's file opened anew, which makes nobody a member; none where that cannot be done.
UniqueFd OpenAgain();
// Whether a member lives, to whoever has the file opened anew and is none. A system call.
bool FamilyLives(int fd);
uint64_t Size();
uint8_t* Base();
Header* HeaderOf();
unsigned OwnSlot();

inline Word* WordAt(uint64_t offset) {
  return reinterpret_cast<Word*>(Base() + offset);
}
inline Cell* CellAt(uint64_t offset) {
  return reinterpret_cast<Cell*>(Base() + offset);
}
inline Block* BlockAt(uint64_t data_offset) {
  return reinterpret_cast<Block*>(Base() + data_offset) - 1;
}

// Around fork(2): a slot for the child is taken before, so that no moment exists in which it is unknown.
void BeforeFork();
void AfterForkInParent(pid_t child);  // -1 when the fork failed
void AfterForkInChild();

// Around vfork(2) and execve(2) of a process that is to join: it counts as living, and what it is sent as in use, from
// before the first message to it. The slot is the child's from ClaimSlot on, which makes no call but getpid(2).
unsigned ReserveSlotForJoining();  // kNoSlot when there is none
void ClaimSlot(unsigned slot);
void GiveSlotBack(unsigned slot);  // the child was never made

// Whether a process other than this one lives that can have inherited what was made in epoch `born`: forked after it
// from one that was there, or joined, before. When `sent`: any other process at all.
bool SomebodyCanHave(uint32_t born, bool sent);
bool SlotLives(unsigned slot);
// The same for the process that had the slot from `born` on; one without a slot is taken to live.
bool MemberLives(unsigned slot, uint32_t born);
uint32_t OwnBirth();

}  // namespace realfork::arena

#endif  // REALFORK_NATIVE_ARENA_H_
