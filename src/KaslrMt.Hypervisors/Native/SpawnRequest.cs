using System.Collections;
using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace KaslrMt.Hypervisors.Native;

/// <summary>Starts a program in a session of its own, by <c>posix_spawn</c>: what <see cref="System.Diagnostics.Process"/> cannot do.</summary>
internal static unsafe class SpawnRequest
{
    // glibc: posix_spawnattr_t is 336 bytes, posix_spawn_file_actions_t 80, sigset_t 128.
    private const int OpaqueSize = 1024;
    private const short SetSignalDefaults = 0x04;
    private const short SetSignalMask = 0x08;
    private const short SetSession = 0x80;

    /// <summary>Starts the program with standard error to a pipe and, unless they are shared, nothing at standard input and output.</summary>
    /// <returns>The process id.</returns>
    /// <exception cref="KaslrMtException"><see cref="HypervisorErrors.SystemCall"/>.</exception>
    internal static int Start(
        string program, IReadOnlyList<string> arguments, IEnumerable<string> variables, SafeFileHandle standardError, bool sharesStandardStreams) =>
        Start(program, arguments, variables, null, null, standardError, sharesStandardStreams);

    /// <summary>Starts the program with these as its standard streams, null standing for nothing, and with this process's variables.</summary>
    /// <inheritdoc cref="Start(string, IReadOnlyList{string}, IEnumerable{string}, SafeFileHandle, bool)"/>
    internal static int Start(
        string program, IReadOnlyList<string> arguments, SafeFileHandle? input, SafeFileHandle? output, SafeFileHandle? error) =>
        Start(program, arguments, Inherited().Select(variable => $"{variable.Key}={variable.Value}"), input, output, error, sharesStandardStreams: false);

    /// <summary>Gets this process's variables.</summary>
    internal static IEnumerable<KeyValuePair<string, string>> Inherited() =>
        Environment.GetEnvironmentVariables().Cast<DictionaryEntry>().Select(entry => KeyValuePair.Create((string)entry.Key, (string?)entry.Value ?? ""));

    private static int Start(
        string program,
        IReadOnlyList<string> arguments,
        IEnumerable<string> variables,
        SafeFileHandle? input,
        SafeFileHandle? output,
        SafeFileHandle? error,
        bool sharesStandardStreams)
    {
        byte* actions = stackalloc byte[OpaqueSize];
        byte* attributes = stackalloc byte[OpaqueSize];
        byte* signals = stackalloc byte[128];
        new Span<byte>(signals, 128).Clear();
        Check(Linux.SpawnActionsInit(actions));
        Check(Linux.SpawnAttributesInit(attributes));
        byte** argv = ToNative([program, .. arguments]);
        byte** envp = ToNative(variables);
        try
        {
            // What was closed when this process began must not be the number of the first file or socket that the program opens.
            foreach (int stream in (int[])[0, 1])
            {
                if (!sharesStandardStreams)
                {
                    Redirect(stream, stream == 0 ? input : output);
                }
                else if (!IsInherited(stream))
                {
                    Check(Linux.SpawnActionsOpen(actions, stream, "/dev/null", stream, 0));
                }
            }

            Redirect(2, error);

            // The runtime ignores SIGPIPE and blocks signals on some threads; a child would inherit both.
            Check(Linux.SpawnAttributesMask(attributes, signals));
            new Span<byte>(signals, 128).Fill(0xff);
            Check(Linux.SpawnAttributesDefault(attributes, signals));
            Check(Linux.SpawnAttributesFlags(attributes, SetSession | SetSignalMask | SetSignalDefaults));
            int pid;
            Check(Linux.PosixSpawn(&pid, program, actions, attributes, argv, envp));
            return pid;
        }
        finally
        {
            Free(argv);
            Free(envp);
            _ = Linux.SpawnActionsDestroy(actions);
            _ = Linux.SpawnAttributesDestroy(attributes);
        }

        void Redirect(int stream, SafeFileHandle? target) => Check(target is null
            ? Linux.SpawnActionsOpen(actions, stream, "/dev/null", stream == 0 ? 0 : 1, 0)
            : Linux.SpawnActionsDup(actions, (int)target.DangerousGetHandle(), stream));

        void Check(int code)
        {
            if (code != 0)
            {
                throw new KaslrMtException(HypervisorErrors.SystemCall, $"cannot start {program} ({Marshal.GetPInvokeErrorMessage(code)})");
            }
        }
    }

    // The runtime opens its own files close-on-exec.
    private static bool IsInherited(int descriptor) => Linux.FileControl(descriptor, Linux.GetDescriptorFlags, 0) == 0;

    private static byte** ToNative(IEnumerable<string> texts)
    {
        string[] all = [.. texts];
        byte** array = (byte**)NativeMemory.AllocZeroed((nuint)all.Length + 1, (nuint)sizeof(byte*));
        for (int i = 0; i < all.Length; i++)
        {
            array[i] = (byte*)Marshal.StringToCoTaskMemUTF8(all[i]);
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
}
