// The tracker: a small process that removes the names of shared memory segments once nobody uses them, however their
// users ended. Each process family has one, from its first named segment on.
//
//     member ──┐  messages (SOCK_SEQPACKET)
//     member ──┼───────────────────────────▶ tracker ──▶ /dev/shm
//     member ──┘  end of file: no member lives          (inotify: somebody closed, or removed the name)
//
// Members are the process that made the tracker and everything forked from it since: they hold the writing end. The
// family is larger where it has an arena (arena.h): a worker that makes a segment for its parent may make the tracker,
// and be gone when the parent attaches.
#ifndef REALFORK_NATIVE_TRACKER_H_
#define REALFORK_NATIVE_TRACKER_H_

#include <limits.h>
#include <stdint.h>
#include <sys/types.h>

#include "lean_child.h"

namespace realfork::tracker {

// A segment as the tracker knows it. The name alone could meanwhile be another's.
struct Segment {
  uint64_t device;
  uint64_t inode;
  char name[NAME_MAX + 1];
};

enum class News : uint32_t {
  kWatch,    // this name is about to exist, or exists; its remover is to be this tracker
  kForget,   // it did not come to exist
  kClosing,  // a member is about to give up its mapping, in good order
  kClosed,   // it has; `last` says whether nobody was left then
  kSettle,   // close the descriptor that comes along when all of the above has been seen to
  kFamily,   // the descriptor that comes along tells whether somebody of the family lives (arena::FamilyLives)
};

struct Message {
  News news;
  uint32_t last;
  Segment segment;
};

// Tells the tracker of a segment, making the tracker first where there is none, or none any more. Returns 0 or an
// errno, `call` then being the system call that failed; without a tracker nothing must be named.
int Watch(const Segment& segment, const char** call);
// The segment's name is gone, or never came to be: it needs no new tracker should this one be killed.
void Forget(const Segment& segment);
// Tells an existing tracker; one that has been killed has nothing to lose.
void Tell(News news, const Segment& segment, bool last = false);

// Waits until the tracker has seen to everything told so far: it has segments open, so that the memory of one that was
// unlinked and closed a moment ago may still be taken.
void Settle();

// The tracker itself (tracker_process.cc). Called in a fresh child with every signal blocked.
[[noreturn]] void Run(int messages, const lean::Plan& plan);

}  // namespace realfork::tracker

#endif  // REALFORK_NATIVE_TRACKER_H_
