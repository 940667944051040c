using System.Globalization;
using System.Runtime.InteropServices;
using KaslrMt.Kernels;
using Microsoft.Win32.SafeHandles;

namespace KaslrMt.Vms.Workers;

/// <summary>Starts a worker: three descriptors, a session of its own, and an environment in which nothing of the agent's is left.</summary>
internal static unsafe class WorkerStart
{
    // glibc: posix_spawnattr_t is 336 bytes, posix_spawn_file_actions_t 80, sigset_t 128.
    private const int OpaqueSize = 1024;
    private const int SignalSetSize = 128;

    // POSIX_SPAWN_SETSIGDEF, SETSIGMASK, SETSID.
    private const short Flags = 0x04 | 0x08 | 0x80;

    private const int FirstOther = 3;

    /// <summary>Starts it.</summary>
    /// <returns>The process id.</returns>
    /// <exception cref="KaslrMtException">KMT9031: it cannot be started.</exception>
    internal static int Start(WorkerSettings settings, SafeFileHandle input, SafeFileHandle output, SafeFileHandle errors)
    {
        byte* actions = stackalloc byte[OpaqueSize];
        byte* attributes = stackalloc byte[OpaqueSize];
        byte* signals = stackalloc byte[SignalSetSize];
        new Span<byte>(signals, SignalSetSize).Clear();
        Check(WorkerCalls.ActionsInit(actions), settings);
        Check(WorkerCalls.AttributesInit(attributes), settings);
        byte** arguments = ToNative([settings.Program, .. settings.Arguments]);
        byte** environment = ToNative(Environment(settings));
        try
        {
            // The agent's own files are closed on exec; what a library left open is closed here.
            Check(WorkerCalls.ActionsDuplicate(actions, (int)input.DangerousGetHandle(), 0), settings);
            Check(WorkerCalls.ActionsDuplicate(actions, (int)output.DangerousGetHandle(), 1), settings);
            Check(WorkerCalls.ActionsDuplicate(actions, (int)errors.DangerousGetHandle(), 2), settings);
            Check(WorkerCalls.ActionsCloseFrom(actions, FirstOther), settings);
            Check(WorkerCalls.ActionsChangeFolder(actions, "/"), settings);
            Check(WorkerCalls.AttributesMask(attributes, signals), settings);
            new Span<byte>(signals, SignalSetSize).Fill(0xff);
            Check(WorkerCalls.AttributesDefault(attributes, signals), settings);
            Check(WorkerCalls.AttributesFlags(attributes, Flags), settings);
            int process;
            Check(WorkerCalls.Spawn(&process, settings.Program, actions, attributes, arguments, environment), settings);
            return process;
        }
        finally
        {
            Free(arguments);
            Free(environment);
            _ = WorkerCalls.ActionsDestroy(actions);
            _ = WorkerCalls.AttributesDestroy(attributes);
        }
    }

    // One processor and no collection in the background: a worker may start no thread. Its heap is small beside the image, which lies outside.
    private static string[] Environment(WorkerSettings settings) =>
    [
        "DOTNET_PROCESSOR_COUNT=1",
        "DOTNET_gcConcurrent=0",
        "DOTNET_GCHeapHardLimit=0x20000000",
        "DOTNET_EnableDiagnostics=0",
        string.Create(CultureInfo.InvariantCulture, $"{KernelWorker.UserVariable}={settings.User}"),
    ];

    private static byte** ToNative(string[] texts)
    {
        byte** array = (byte**)NativeMemory.AllocZeroed((nuint)texts.Length + 1, (nuint)sizeof(byte*));
        for (int i = 0; i < texts.Length; i++)
        {
            array[i] = (byte*)Marshal.StringToCoTaskMemUTF8(texts[i]);
        }

        return array;
    }

    private static void Free(byte** array)
    {
        for (byte** text = array; *text is not null; text++)
        {
            Marshal.FreeCoTaskMem((nint)(*text));
        }

        NativeMemory.Free(array);
    }

    private static void Check(int error, WorkerSettings settings)
    {
        if (error != 0)
        {
            throw new KaslrMtException(
                VmErrors.WorkerCrashed, $"the kernel worker {settings.Program} cannot be started ({Marshal.GetPInvokeErrorMessage(error)})", "install the program again");
        }
    }
}
