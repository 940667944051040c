using System.Globalization;
using KaslrMt.Kernels;
using KaslrMt.Layout;

namespace KaslrMt.Vms.Workers;

/// <summary>Reads the line by which a worker refuses a kernel. It is text from a process that may have been taken over.</summary>
internal static class WorkerProblem
{
    private const int CodeLength = 7;

    // What understanding a kernel may end in besides Kernels' own errors.
    private static readonly ErrorCode[] Others = [CoreErrors.BufferLength, CoreErrors.OutOfMemory, LayoutErrors.GeometryInvalid, LayoutErrors.KernelTooLarge];

    /// <summary>The error that the line names; null where it is no such line, or names a code that no kernel ends in.</summary>
    /// <param name="text">What the worker wrote.</param>
    internal static KaslrMtException? Parse(string text)
    {
        string line = text.Split('\n')[0];
        if (line.Length <= CodeLength || !line.StartsWith("KMT", StringComparison.Ordinal) || line[CodeLength] != ' '
            || !int.TryParse(line.AsSpan(3, CodeLength - 3), NumberStyles.None, CultureInfo.InvariantCulture, out int number))
        {
            return null;
        }

        foreach (ErrorCode code in (IEnumerable<ErrorCode>)[.. KernelErrors.All, .. Others])
        {
            if (code.Number == number)
            {
                return new KaslrMtException(code, Printable.Of(line[CodeLength..]));
            }
        }

        return null;
    }
}
