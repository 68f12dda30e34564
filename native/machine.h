// The processor-specific handful of lines: where an interrupted thread stood, and how a signal handler is left.
#ifndef REALFORK_NATIVE_MACHINE_H_
#define REALFORK_NATIVE_MACHINE_H_

#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>
#include <ucontext.h>

namespace realfork::machine {

// The system call an interrupted thread was about to repeat (SA_RESTART put the program counter back on the call
// instruction, its number in the result register), kInterrupted when it just returned -EINTR, kNone otherwise.
constexpr long kNone = -1;
constexpr long kInterrupted = -2;

#if defined(__x86_64__)

inline uintptr_t ThreadPointer() {
  uintptr_t pointer;
  asm("mov %%fs:0, %0" : "=r"(pointer));  // x86-64 psABI: the first word of the TCB holds its own address
  return pointer;
}

inline uintptr_t ProgramCounter(const ucontext_t* context) {
  return static_cast<uintptr_t>(context->uc_mcontext.gregs[REG_RIP]);
}

inline long InterruptedCall(const ucontext_t* context) {
  const auto* pc = reinterpret_cast<const unsigned char*>(ProgramCounter(context));
  const long result = context->uc_mcontext.gregs[REG_RAX];
  constexpr unsigned char kSyscall[] = {0x0f, 0x05};
  if (result == -EINTR && memcmp(pc - 2, kSyscall, 2) == 0) return kInterrupted;
  if (result >= 0 && memcmp(pc, kSyscall, 2) == 0) return result;
  return kNone;
}

// Of the call that InterruptedCall names, counted from 0.
inline long Argument(const ucontext_t* context, int index) {
  constexpr int kRegisters[] = {REG_RDI, REG_RSI, REG_RDX, REG_R10, REG_R8, REG_R9};
  return context->uc_mcontext.gregs[kRegisters[index]];
}

// sigreturn(2): on entry to the handler the stack pointer stands on the return address just below the ucontext, which
// the restorer's call has popped: sys_rt_sigreturn takes its frame from there (arch/x86/kernel/signal_64.c).
[[noreturn]] inline void LeaveHandler(siginfo_t*, ucontext_t* context) {
  asm volatile("mov %0, %%rsp\n\tmov %1, %%eax\n\tsyscall" : : "r"(context), "i"(SYS_rt_sigreturn) : "memory");
  __builtin_unreachable();
}

extern "C" void realfork_restorer();

constexpr bool kNeedsRestorer = true;
constexpr bool kKeepsFirstArgument = true;       // when a call has returned
constexpr uint32_t kRseqSignature = 0x53053053;  // glibc sysdeps/unix/sysv/linux/x86/bits/rseq.h
constexpr long kEpollWait[] = {SYS_epoll_wait, SYS_epoll_pwait};

#elif defined(__aarch64__)

inline uintptr_t ThreadPointer() {
  uintptr_t pointer;
  asm("mrs %0, tpidr_el0" : "=r"(pointer));
  return pointer;
}

inline uintptr_t ProgramCounter(const ucontext_t* context) {
  return static_cast<uintptr_t>(context->uc_mcontext.pc);
}

inline long InterruptedCall(const ucontext_t* context) {
  const auto* pc = reinterpret_cast<const uint32_t*>(ProgramCounter(context));
  constexpr uint32_t kSvc0 = 0xd4000001;
  if (static_cast<long>(context->uc_mcontext.regs[0]) == -EINTR && pc[-1] == kSvc0) return kInterrupted;
  if (pc[0] == kSvc0) return static_cast<long>(context->uc_mcontext.regs[8]);
  return kNone;
}

inline long Argument(const ucontext_t* context, int index) {
  return static_cast<long>(context->uc_mcontext.regs[index]);
}

// The kernel's frame starts with the siginfo, and sp points at it (arch/arm64/kernel/signal.c, struct rt_sigframe).
[[noreturn]] inline void LeaveHandler(siginfo_t* info, ucontext_t*) {
  asm volatile("mov sp, %0\n\tmov x8, %1\n\tsvc #0" : : "r"(info), "i"(SYS_rt_sigreturn) : "x8", "memory");
  __builtin_unreachable();
}

constexpr bool kNeedsRestorer = false;       // the vDSO has one
constexpr bool kKeepsFirstArgument = false;  // the result is in its register
constexpr uint32_t kRseqSignature = 0xd428bc00;
constexpr long kEpollWait[] = {SYS_epoll_pwait, SYS_epoll_pwait};

#endif

}  // namespace realfork::machine

#endif  // REALFORK_NATIVE_MACHINE_H_
