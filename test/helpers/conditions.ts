/** Commands to put in front of a test program (`wrapper`): what it takes from the kernel before Node starts. */

const prologue = [
  'import ctypes, os, platform, struct, sys',
  'libc = ctypes.CDLL(None, use_errno=True)',
  'def prctl(option, *arguments):',
  '    if libc.prctl(option, *[ctypes.c_ulong(value) for value in arguments]) != 0:',
  '        raise OSError(ctypes.get_errno(), "prctl")',
];

/** Lines of Python that have a seccomp(2) filter of these instructions, lines of Python too, set. */
function filtering(instructions: readonly string[]): readonly string[] {
  return [
    `instructions = b"".join(struct.pack("HBBI", *i) for i in [${instructions.join(', ')}])`,
    'memory = ctypes.create_string_buffer(instructions, len(instructions))',
    'program = ctypes.create_string_buffer(struct.pack("HP", len(instructions) // 8, ctypes.addressof(memory)))',
    'prctl(38, 1, 0, 0, 0)', // PR_SET_NO_NEW_PRIVS
    'prctl(22, 2, ctypes.addressof(program))', // PR_SET_SECCOMP
  ];
}

const loadNumber = '(0x20, 0, 0, 0)';
const fail = '(0x06, 0, 0, 0x00050000 | int(sys.argv[1]))'; // SECCOMP_RET_ERRNO
const allow = '(0x06, 0, 0, 0x7fff0000)'; // SECCOMP_RET_ALLOW

/** A wrapper that runs these lines of Python and then becomes the program. */
function prepared(lines: readonly string[], args: readonly string[] = []): readonly string[] {
  const become = `os.execvp(sys.argv[${args.length + 1}], sys.argv[${args.length + 1}:])`;
  return ['python3', '-c', [...prologue, ...lines, become].join('\n'), ...args];
}

/** The program adopts the orphans of its tree, so that it can wait for every process below it. prctl(2). */
export const asSubreaper = prepared(['prctl(36, 1, 0, 0, 0)']);

/**
 * In the program fork(2) fails with this errno, by a seccomp(2) filter: `clone` without CLONE_VM. Threads are not
 * affected.
 */
export function withFailingFork(errno: number): readonly string[] {
  return prepared(
    [
      'clone, fork = {"x86_64": (56, 57), "aarch64": (220, 0xffff)}[platform.machine()]',
      ...filtering([
        loadNumber,
        '(0x15, 3, 0, fork)',
        '(0x15, 0, 3, clone)',
        '(0x20, 0, 0, 16)', // load the low half of its first argument
        '(0x45, 1, 0, 0x100)', // CLONE_VM
        fail,
        allow,
      ]),
    ],
    [String(errno)],
  );
}

/** By their numbers on x64 and arm64. */
const systemCalls = {
  pidfd_open: [434, 434],
  futex_waitv: [449, 449],
  close_range: [436, 436],
  memfd_create: [319, 279],
};

/** In the program this system call fails with this errno, as on an old kernel (ENOSYS) or in a container (EPERM). */
export function withoutSystemCall(name: keyof typeof systemCalls, errno: number): readonly string[] {
  const [x64, arm64] = systemCalls[name];
  return prepared(
    [
      `number = {"x86_64": ${x64}, "aarch64": ${arm64}}[platform.machine()]`,
      ...filtering([loadNumber, '(0x15, 0, 1, number)', fail, allow]),
    ],
    [String(errno)],
  );
}

/**
 * The program's user may have so many tasks (processes and threads) more than now. RLIMIT_NPROC does not bind root:
 * run as root, the program has to leave for a user of its own (`process.setuid(t.args[0])`, from `freshUser`).
 */
export function withTaskLimit(tasks: number): readonly string[] {
  return prepared(
    [
      'import resource',
      'def tasks_of_user():',
      '    for pid in filter(str.isdigit, os.listdir("/proc")):',
      '        try:',
      '            if os.stat("/proc/" + pid).st_uid == os.getuid():',
      '                yield len(os.listdir("/proc/" + pid + "/task"))',
      '        except OSError: pass',
      'limit = int(sys.argv[1]) + (sum(tasks_of_user()) if os.getuid() != 0 else 0)',
      'resource.setrlimit(resource.RLIMIT_NPROC, (limit, limit))',
    ],
    [String(tasks)],
  );
}

/** A user id that nobody has: its tasks are those of the program alone. */
export function freshUser(): number {
  return 61_000 + (process.pid % 4_000);
}
