// What lies in the arena: cells for locks, blocks of any size, given out and taken back under a lock in the arena.
#ifndef REALFORK_NATIVE_ARENA_HEAP_H_
#define REALFORK_NATIVE_ARENA_HEAP_H_

#include <stdint.h>

namespace realfork::arena {

// The offset of a zeroed cell, 0 when there is no more.
uint64_t AllocateCell();
// Frees a cell whoever it is of: the caller knows that nobody has it.
void FreeCell(uint64_t offset);

// The offset of so many zeroed bytes, 64-byte aligned, 0 when there is no room.
uint64_t AllocateBlock(uint64_t bytes);
bool IsBlock(uint64_t offset);

// Frees a cell or block that this process made, unless another may have it. "freed", "later", or "never" when it is not
// this process's.
const char* Reclaim(uint64_t offset);

// Frees what belonged to processes that are gone and what nobody living can have.
void Sweep();

}  // namespace realfork::arena

#endif  // REALFORK_NATIVE_ARENA_HEAP_H_
