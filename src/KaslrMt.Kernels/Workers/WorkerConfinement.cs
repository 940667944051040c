using System.Globalization;
using System.Runtime.InteropServices;

namespace KaslrMt.Kernels;

/// <summary>Gives up all rights of this process for good, in the order in which each step still allows the next.</summary>
internal static unsafe class WorkerConfinement
{
    // linux/prctl.h
    private const int SetDumpable = 4;
    private const int DropBoundingCapability = 24;
    private const int SetNoNewPrivileges = 38;
    private const int AmbientCapabilities = 47;
    private const int ClearAllAmbient = 4;

    // linux/sched.h
    private const int NewIpcNamespace = 0x08000000;
    private const int NewNetworkNamespace = 0x40000000;

    private const int SetCapabilitiesCall = 126; // capset, asm/unistd_64.h
    private const uint CapabilityVersion = 0x20080522;
    private const int PossibleCapabilities = 64;

    // asm-generic/resource.h
    private const int CpuSeconds = 0;
    private const int FileSize = 1;
    private const int DataSize = 2;
    private const int CoreSize = 4;
    private const int Processes = 6;
    private const int OpenFiles = 7;
    private const int AddressSpace = 9;

    private const ulong MemoryLimit = 1536UL << 20;
    private const ulong CpuLimit = 30;

    private static readonly string[] Codecs = [Bzip2Codec.Library, LzmaStatus.Library, LzopCodec.Library, Lz4Codec.Library, ZstdCodec.Library];

    /// <summary>Gives them up. Afterwards no file can be opened, no process, thread or socket made, no memory made executable.</summary>
    /// <param name="user">The user and group to become when this is root.</param>
    /// <exception cref="KaslrMtException">KMT2802: which right could not be given up.</exception>
    internal static void Enter(uint user)
    {
        if (Environment.ProcessorCount != 1)
        {
            throw Fault("the worker must be started with DOTNET_PROCESSOR_COUNT=1: it may start no threads");
        }

        LoadCodecs();
        ulong mapped = MappedBytes();
        Check(WorkerSystemCalls.ProcessControl(SetNoNewPrivileges, 1, 0, 0, 0), "no_new_privs");
        DropCapabilities(user);
        RequireNoCapabilities();
        Check(WorkerSystemCalls.ProcessControl(SetDumpable, 0, 0, 0, 0), "dumpable");

        // The runtime reserves address space for its heap when it starts: that counts, and holds no memory.
        Limit(AddressSpace, mapped + MemoryLimit);
        Limit(DataSize, MemoryLimit);
        Limit(FileSize, NativeBuffer.MaxLength);
        Limit(CpuSeconds, CpuLimit);
        Limit(CoreSize, 0);
        Limit(Processes, 0);
        Limit(OpenFiles, 0);
        SeccompFilter.Install();
    }

    // A library that is not installed is reported when a kernel needs it.
    private static void LoadCodecs()
    {
        foreach (string library in Codecs)
        {
            _ = NativeLibrary.TryLoad(library, out _);
        }
    }

    private static ulong MappedBytes() =>
        ulong.Parse(File.ReadAllText("/proc/self/statm").Split(' ')[0], CultureInfo.InvariantCulture) * (ulong)Environment.SystemPageSize;

    private static void DropCapabilities(uint user)
    {
        if (WorkerSystemCalls.EffectiveUser() == 0)
        {
            // One wall more where the host lets us: the filter forbids sockets anyway.
            _ = WorkerSystemCalls.Unshare(NewNetworkNamespace | NewIpcNamespace);
            for (nuint capability = 0; capability < PossibleCapabilities; capability++)
            {
                _ = WorkerSystemCalls.ProcessControl(DropBoundingCapability, capability, 0, 0, 0);
            }

            Check(WorkerSystemCalls.SetGroups(0, null), "supplementary groups");
            Check(WorkerSystemCalls.SetGroup(user, user, user), "the group");
            Check(WorkerSystemCalls.SetUser(user, user, user), "the user");
        }

        _ = WorkerSystemCalls.ProcessControl(AmbientCapabilities, ClearAllAmbient, 0, 0, 0);
        uint* header = stackalloc uint[2] { CapabilityVersion, 0 };
        uint* none = stackalloc uint[6];
        new Span<uint>(none, 6).Clear();
        Check((int)WorkerSystemCalls.Call(SetCapabilitiesCall, (nint)header, (nint)none, 0), "capabilities");
    }

    // Capabilities belong to threads, and the runtime has some already: whatever gave one to them, none may be left.
    private static void RequireNoCapabilities()
    {
        foreach (string thread in Directory.GetDirectories("/proc/self/task"))
        {
            foreach (string line in File.ReadLines(Path.Combine(thread, "status")))
            {
                if ((line.StartsWith("CapPrm:", StringComparison.Ordinal) || line.StartsWith("CapEff:", StringComparison.Ordinal)) && line.AsSpan(7).Trim().ContainsAnyExcept('0'))
                {
                    throw Fault("a thread of the worker still has capabilities: start the agent without ambient capabilities");
                }
            }
        }
    }

    private static void Limit(int resource, ulong limit)
    {
        ulong* both = stackalloc ulong[2] { limit, limit };
        Check(WorkerSystemCalls.SetLimit(resource, both), $"resource limit {resource}");
    }

    private static void Check(int result, string right)
    {
        if (result < 0)
        {
            throw Fault($"the worker could not give up {right} ({Marshal.GetPInvokeErrorMessage(Marshal.GetLastPInvokeError())})");
        }
    }

    private static KaslrMtException Fault(string problem) => new(KernelErrors.Confinement, problem, "no kernel is read without these limits");
}
