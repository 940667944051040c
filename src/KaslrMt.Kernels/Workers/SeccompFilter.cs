using System.Runtime.InteropServices;

namespace KaslrMt.Kernels;

/// <summary>The system calls that are left to a worker, as a program for the kernel's packet filter (<c>seccomp(2)</c>, mode filter).</summary>
/// <remarks>
/// For a Native AOT process that has started: its collector, its locks and its exit. Whatever is not named kills the process. Numbers are those of
/// <c>asm/unistd_64.h</c>.
/// </remarks>
internal static unsafe class SeccompFilter
{
    private const int SeccompCall = 317;
    private const int SetFilter = 1;
    private const int AllThreads = 1;
    private const uint X86_64 = 0xc000003e;
    private const uint X32Bit = 0x40000000;

    // linux/seccomp.h
    private const uint Kill = 0x80000000;
    private const uint Allow = 0x7fff0000;
    private const uint Refuse = 0x00050000;
    private const uint AccessDenied = 13;
    private const uint NotPermitted = 1;
    private const uint NoTerminal = 25;

    // struct seccomp_data: the number, the architecture, the instruction pointer, six arguments of 8 bytes.
    private const uint Number = 0;
    private const uint Architecture = 4;
    private const uint Arguments = 16;

    // linux/bpf_common.h
    private const ushort LoadWord = 0x20;
    private const ushort JumpIfEqual = 0x15;
    private const ushort JumpIfAtLeast = 0x35;
    private const ushort JumpIfAnyBit = 0x45;
    private const ushort Return = 0x06;

    private const uint Executable = 4; // PROT_EXEC
    private const uint Shared = 1; // MAP_SHARED; a bit of MAP_SHARED_VALIDATE too
    private const uint EmptyPath = 0x1000; // AT_EMPTY_PATH

    /// <summary>
    /// Read, write, close, fstat, poll, lseek, munmap, brk, rt_sigaction, rt_sigprocmask, rt_sigreturn, pread64, pwrite64, sched_yield, mremap, madvise,
    /// nanosleep, getpid, exit, ftruncate, gettimeofday, getrlimit, sysinfo, sigaltstack, gettid, futex, sched_getaffinity, restart_syscall, fadvise64,
    /// clock_gettime, clock_getres, clock_nanosleep, exit_group, getcpu, getrandom, membarrier, rseq.
    /// </summary>
    private static readonly uint[] Allowed =
    [
        0, 1, 3, 5, 7, 8, 11, 12, 13, 14, 15, 17, 18, 24, 25, 28,
        35, 39, 60, 77, 96, 97, 99, 131, 186, 202, 204, 219, 221,
        228, 229, 230, 231, 309, 318, 324, 334,
    ];

    /// <summary>
    /// What the runtime asks for and can do without: open, stat, lstat, access, readlink, openat, readlinkat, faccessat, statx, openat2, faccessat2. The
    /// collector looks up the host's free memory in files each time it runs; it must not die of the answer "no".
    /// </summary>
    private static readonly uint[] FileNames = [2, 4, 6, 21, 89, 257, 267, 269, 332, 437, 439];

    /// <summary>Installs it for all threads, for good.</summary>
    /// <exception cref="KaslrMtException">KMT2802.</exception>
    internal static void Install()
    {
        Instruction[] program = [.. Build((uint)Environment.ProcessId)];
        fixed (Instruction* instructions = program)
        {
            var description = new Program { Length = (ushort)program.Length, Instructions = instructions };
            if (WorkerSystemCalls.Call(SeccompCall, SetFilter, AllThreads, (nint)(&description)) != 0)
            {
                throw new KaslrMtException(
                    KernelErrors.Confinement,
                    $"the worker's system call filter was refused ({Marshal.GetPInvokeErrorMessage(Marshal.GetLastPInvokeError())})",
                    "use a host kernel with CONFIG_SECCOMP_FILTER");
            }
        }
    }

    /// <summary>The program for a process of that id.</summary>
    internal static List<Instruction> Build(uint process)
    {
        List<Instruction> program =
        [
            new(LoadWord, 0, 0, Architecture),
            new(JumpIfEqual, 1, 0, X86_64),
            new(Return, 0, 0, Kill),
            new(LoadWord, 0, 0, Number),
            new(JumpIfAtLeast, 0, 1, X32Bit),
            new(Return, 0, 0, Kill),
        ];
        foreach (uint number in Allowed)
        {
            Answer(program, number, Allow);
        }

        foreach (uint number in FileNames)
        {
            Answer(program, number, Refuse | AccessDenied);
        }

        Answer(program, 16, Refuse | NoTerminal); // ioctl: is this a terminal?
        Answer(program, 302, Refuse | NotPermitted); // prlimit64

        // mmap: nothing executable, nothing shared. mprotect: nothing executable.
        Unless(program, 9, [(2, JumpIfAnyBit, Executable), (3, JumpIfAnyBit, Shared)]);
        Unless(program, 10, [(2, JumpIfAnyBit, Executable)]);

        // newfstatat is glibc's fstat when its path is empty, which a filter cannot see: the flag must be there, and only attributes can be had.
        Only(program, 262, 3, EmptyPath, Refuse | AccessDenied);

        // tgkill: itself alone, the user may have other processes.
        Only(program, 234, 0, process, Kill);
        program.Add(new Instruction(Return, 0, 0, Kill));
        return program;
    }

    private static void Answer(List<Instruction> program, uint number, uint answer)
    {
        program.Add(new Instruction(JumpIfEqual, 0, 1, number));
        program.Add(new Instruction(Return, 0, 0, answer));
    }

    /// <summary>Allows the call unless one of the tests on its arguments' low halves holds: then it kills.</summary>
    private static void Unless(List<Instruction> program, uint number, (uint Argument, ushort Test, uint Value)[] tests)
    {
        program.Add(new Instruction(JumpIfEqual, 0, (byte)((3 * tests.Length) + 1), number));
        foreach ((uint argument, ushort test, uint value) in tests)
        {
            program.Add(new Instruction(LoadWord, 0, 0, Arguments + (8 * argument)));
            program.Add(new Instruction(test, 0, 1, value));
            program.Add(new Instruction(Return, 0, 0, Kill));
        }

        program.Add(new Instruction(Return, 0, 0, Allow));
    }

    /// <summary>Allows the call where the low half of an argument has that value.</summary>
    private static void Only(List<Instruction> program, uint number, uint argument, uint value, uint otherwise)
    {
        program.Add(new Instruction(JumpIfEqual, 0, 4, number));
        program.Add(new Instruction(LoadWord, 0, 0, Arguments + (8 * argument)));
        program.Add(new Instruction(JumpIfEqual, 0, 1, value));
        program.Add(new Instruction(Return, 0, 0, Allow));
        program.Add(new Instruction(Return, 0, 0, otherwise));
    }

    /// <summary><c>struct sock_filter</c>.</summary>
    [StructLayout(LayoutKind.Sequential)]
    internal readonly record struct Instruction(ushort Code, byte IfTrue, byte IfFalse, uint Value);

    /// <summary><c>struct sock_fprog</c>.</summary>
    [StructLayout(LayoutKind.Sequential)]
    private struct Program
    {
        internal ushort Length;
        internal Instruction* Instructions;
    }
}
