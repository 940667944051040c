using System.Text;

namespace KaslrMt.Hypervisors.Tests;

public sealed class InitramfsOverlayTests
{
    // The kernel looks for the next archive at a multiple of four bytes only (init/initramfs.c).
    [Theory]
    [InlineData(4)]
    [InlineData(5)]
    [InlineData(7)]
    public void An_overlay_begins_at_a_multiple_of_four_behind_the_whole_initrd(int size)
    {
        string folder = Directory.CreateTempSubdirectory().FullName;
        try
        {
            byte[] initrd = [.. Enumerable.Range(1, size).Select(value => (byte)value)];
            string first = Path.Combine(folder, "first");
            File.WriteAllBytes(first, initrd);
            byte[] overlay = Initramfs.Overlay(new Dictionary<string, byte[]> { ["/conf/modules"] = "loop\n"u8.ToArray() });
            byte[] both = File.ReadAllBytes(Initramfs.Append(first, overlay, Path.Combine(folder, "both")));
            int start = (size + 3) / 4 * 4;
            Assert.Equal(initrd, both[..size]);
            Assert.Equal(overlay, both[start..]);
            Assert.Equal(0, both[size..start].Sum(value => value));
            Assert.StartsWith("070701", Encoding.ASCII.GetString(overlay), StringComparison.Ordinal);
            Assert.Contains("conf/modules\0", Encoding.ASCII.GetString(overlay), StringComparison.Ordinal);
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }
}
