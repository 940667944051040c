using System.ComponentModel;

namespace KaslrMt.Cli.Output;

/// <summary>Standard output or error, whose failures are what the command makes of them.</summary>
/// <param name="inner">The stream.</param>
/// <param name="required">
/// Whether a report that cannot be written is an error (standard output). Standard error is not: a VM must not end because nobody reads its
/// owner's lines any longer. A pipe whose reader has gone is an error in neither case, as with <c>| head</c>.
/// </param>
internal sealed class StandardStream(Stream inner, bool required) : Stream
{
    public override bool CanRead => false;

    public override bool CanSeek => false;

    public override bool CanWrite => true;

    public override long Length => throw new NotSupportedException();

    public override long Position
    {
        get => throw new NotSupportedException();
        set => throw new NotSupportedException();
    }

    public override void Write(ReadOnlySpan<byte> buffer)
    {
        try
        {
            inner.Write(buffer);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException or Win32Exception)
        {
            // Win32Exception: .NET looks at the terminal before it writes, which takes memory that a limit may deny.
            if (required)
            {
                throw new KaslrMtException(
                    CommandErrors.Output, $"standard output cannot be written: {FileProblem.Reason(error)}", "give it a place that takes the report", error);
            }
        }
    }

    public override void Write(byte[] buffer, int offset, int count) => Write(buffer.AsSpan(offset, count));

    public override void Flush()
    {
    }

    public override int Read(byte[] buffer, int offset, int count) => throw new NotSupportedException();

    public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

    public override void SetLength(long value) => throw new NotSupportedException();
}
