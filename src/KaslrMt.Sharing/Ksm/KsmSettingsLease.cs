using System.Globalization;

namespace KaslrMt.Sharing;

/// <summary>KSM's settings, borrowed for a measurement and given back whatever happens.</summary>
/// <remarks>
/// What they were is kept in a file before anything is changed. A process that is killed leaves them there; whoever looks next
/// (<see cref="GiveBackLeftover"/>) gives the settings back in its place. The file is locked while its process lives, and stays, empty, so that
/// nobody can hold a lock on a file that is gone.
/// </remarks>
public sealed class KsmSettingsLease : IDisposable
{
    private const int LargestNote = 4096;

    // flock(2): EWOULDBLOCK.
    private const int WouldBlock = 11;

    private readonly KsmFolder _ksm;
    private readonly KsmSettings _before;
    private FileStream? _held;

    private KsmSettingsLease(KsmFolder ksm, KsmSettings before, FileStream held)
    {
        _ksm = ksm;
        _before = before;
        _held = held;
    }

    /// <summary>Notes the settings.</summary>
    /// <param name="ksm">The host's KSM.</param>
    /// <param name="note">The file for what they were: one for the whole host.</param>
    /// <exception cref="KaslrMtException">KMT6014 when another process has borrowed them; KMT6012, KMT6013.</exception>
    public static KsmSettingsLease Take(KsmFolder ksm, string note)
    {
        ArgumentNullException.ThrowIfNull(ksm);
        GiveBackLeftover(ksm, note);
        FileStream held = TryHold(note, FileMode.OpenOrCreate) ?? throw Borrowed();
        try
        {
            KsmSettings before = KsmSettings.Read(ksm);
            held.SetLength(0);
            held.Write(System.Text.Encoding.ASCII.GetBytes(string.Concat(before.Values.Select(pair => $"{pair.Key} {pair.Value}\n"))));
            held.Flush(flushToDisk: true);
            return new KsmSettingsLease(ksm, before, held);
        }
        catch
        {
            held.SetLength(0);
            held.Dispose();
            throw;
        }
    }

    /// <summary>Sees to it that nobody has borrowed the settings, and that nobody does until the result is disposed of.</summary>
    /// <exception cref="KaslrMtException">KMT6014 when another process has; KMT6012.</exception>
    public static IDisposable Check(KsmFolder ksm, string note)
    {
        GiveBackLeftover(ksm, note);
        return TryHold(note, FileMode.OpenOrCreate) ?? throw Borrowed();
    }

    /// <summary>Gives back what a killed process had borrowed.</summary>
    /// <returns>Whether there was something to give back.</returns>
    /// <exception cref="KaslrMtException">KMT6012, KMT6013 when the settings cannot be written; the note stays.</exception>
    public static bool GiveBackLeftover(KsmFolder ksm, string note)
    {
        ArgumentNullException.ThrowIfNull(ksm);
        FileStream? held;
        try
        {
            held = File.Exists(note) ? TryHold(note, FileMode.Open) : null;
        }
        catch (KaslrMtException error) when (error.Code == SharingErrors.KsmNotPermitted)
        {
            // Another user's. Who may not change KSM's settings may still look at them.
            held = null;
        }

        if (held is null)
        {
            return false;
        }

        using (held)
        {
            KsmSettings before = ReadNote(held);
            before.ApplyTo(ksm);
            held.SetLength(0);
            return before.Values.Length > 0;
        }
    }

    /// <summary>Changes settings until the loan ends.</summary>
    /// <exception cref="KaslrMtException">KMT6012, KMT6013.</exception>
    public void Set(KsmSettings settings)
    {
        ArgumentNullException.ThrowIfNull(settings);
        settings.ApplyTo(_ksm);
    }

    /// <summary>Takes apart all merged pages, so that the next count starts from nothing.</summary>
    public void Unmerge() => _ksm.Write(KsmSettings.Run, "2");

    /// <summary>Gives the settings back.</summary>
    /// <exception cref="KaslrMtException">KMT6012, KMT6013 when it cannot be done; the note stays for a later try.</exception>
    public void Dispose()
    {
        if (_held is null)
        {
            return;
        }

        try
        {
            _before.ApplyTo(_ksm);
            _held.SetLength(0);
        }
        finally
        {
            _held.Dispose();
            _held = null;
        }
    }

    private static KsmSettings ReadNote(FileStream held)
    {
        Span<byte> bytes = stackalloc byte[LargestNote];
        int length = held.ReadAtLeast(bytes, bytes.Length, throwOnEndOfStream: false);
        return new KsmSettings([.. System.Text.Encoding.ASCII.GetString(bytes[..length]).Split('\n')
            .Select(line => line.Split(' '))
            .Where(words => words.Length == 2 && words[0].All(letter => char.IsAsciiLetterLower(letter) || letter == '_'))
            .Select(words => KeyValuePair.Create(words[0], words[1]))]);
    }

    private static FileStream? TryHold(string note, FileMode mode)
    {
        try
        {
            // FileShare.None is an advisory lock (flock) that ends with its process.
            return new FileStream(note, new FileStreamOptions
            {
                Mode = mode,
                Access = FileAccess.ReadWrite,
                Share = FileShare.None,
                BufferSize = 0,
                UnixCreateMode = mode == FileMode.Open ? null : UnixFileMode.UserRead | UnixFileMode.UserWrite,
            });
        }
        catch (FileNotFoundException)
        {
            return null;
        }
        catch (IOException error) when (error.HResult == WouldBlock)
        {
            return null;
        }
        catch (IOException error)
        {
            throw new KaslrMtException(SharingErrors.KsmRefused, $"{note}, the note of KSM's settings, cannot be written: {error.Message}", "give another in KASLRMT_KSM_NOTE", error);
        }
        catch (UnauthorizedAccessException error)
        {
            throw new KaslrMtException(SharingErrors.KsmNotPermitted, string.Create(CultureInfo.InvariantCulture, $"{note} may not be written by this user"), "run as root", error);
        }
    }

    private static KaslrMtException Borrowed() =>
        new(SharingErrors.KsmBorrowed, "another process measures with KSM just now and has changed its settings", "wait until it has ended");
}
