namespace KaslrMt.Sharing.Tests;

/// <summary>A folder with the files of a kernel's KSM: those of 6.12, or of 6.1.</summary>
internal sealed class FakeKsm : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("ksm").FullName;

    internal FakeKsm(bool old = false)
    {
        Write("run", "0");
        Write("pages_to_scan", "100");
        Write("sleep_millisecs", "20");
        Write("use_zero_pages", "0");
        Write("pages_shared", "5");
        Write("pages_sharing", "40");
        Write("pages_unshared", "7");
        Write("pages_volatile", "2");
        Write("full_scans", "3");
        if (!old)
        {
            Write("advisor_mode", "[none] scan-time");
            Write("advisor_target_scan_time", "200");
            Write("smart_scan", "1");
            Write("ksm_zero_pages", "10");
            Write("pages_scanned", "1000");
            Write("general_profit", "-64");
        }
    }

    internal string Path => _folder;

    internal KsmFolder Folder => KsmFolder.Open(System.IO.Path.Combine(_folder, "ksm"));

    internal string Note => System.IO.Path.Combine(_folder, "note");

    internal void Write(string file, string value)
    {
        Directory.CreateDirectory(System.IO.Path.Combine(_folder, "ksm"));
        File.WriteAllText(System.IO.Path.Combine(_folder, "ksm", file), value);
    }

    public void Dispose() => Directory.Delete(_folder, recursive: true);
}
