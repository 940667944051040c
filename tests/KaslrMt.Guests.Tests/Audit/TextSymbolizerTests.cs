using System.Globalization;
using System.Text;
using KaslrMt.Kernels;

namespace KaslrMt.Guests.Tests.Audit;

/// <summary>Each kernel address in a text gets its symbol, whatever the text.</summary>
public sealed class TextSymbolizerTests
{
    private static readonly Lazy<KernelImage> Image = new(() => KernelImage.Open(TestKernels.Image("6.12-cloud")));
    private static readonly VirtualAddress Base = new(0xffffffff9d000000);

    private readonly KernelSymbolizer _symbols = KernelSymbolizer.Of(Image.Value, Base);

    [Theory]
    [InlineData("RIP: 0010:{0}", "RIP: 0010:{0} {1}")]
    [InlineData("[    1.234567] Call Trace: [<{0}>] ? [<{0}>]", "[    1.234567] Call Trace: [<{0}>] {1} ? [<{0}>] {1}")]
    [InlineData("[<{0}>] vfs_read+0x10/0x2b0", "[<{0}>] vfs_read+0x10/0x2b0")]
    [InlineData("[<{0}>] ? vfs_read+0x10/0x2b0", "[<{0}>] ? vfs_read+0x10/0x2b0")]
    [InlineData("RIP: 0010:vfs_read+0x10/0x2b0", "RIP: 0010:vfs_read+0x10/0x2b0")]
    [InlineData("[    1.234567] Code: {0} 00 <0f> 0b", "[    1.234567] Code: {0} 00 <0f> 0b")]
    [InlineData("R13: {0} R14: ffff888000001000 R15: 0000000000000000", "R13: {0} {1} R14: ffff888000001000 R15: 0000000000000000")]
    [InlineData("0x{0}\r\n\r\nend", "0x{0} {1}\r\n\r\nend")]
    [InlineData("\u001b[31m {0}\u0007", "?[31m {0} {1}?")]
    [InlineData("ü {0} ü\n", "ü {0} {1} ü\n")]
    [InlineData("", "")]
    public void The_formats_of_traces_are_understood(string text, string expected)
    {
        (string address, string name) = Sample();
        Assert.Equal(
            string.Format(CultureInfo.InvariantCulture, expected, address, name), Rewrite(string.Format(CultureInfo.InvariantCulture, text, address, name)));
    }

    [Fact]
    public void Lines_longer_than_any_buffer_lose_nothing_and_no_address_is_cut()
    {
        (string address, string name) = Sample();
        string text = string.Join(' ', Enumerable.Repeat(address, 20_000));
        Assert.Equal(string.Join(' ', Enumerable.Repeat($"{address} {name}", 20_000)), Rewrite(text));
        string noise = new('x', 300_000);
        Assert.Equal(noise, Rewrite(noise));
    }

    [Fact]
    public void Text_in_drops_gives_the_same_as_text_in_one_piece()
    {
        (string address, _) = Sample();
        string text = string.Concat(Enumerable.Range(0, 200).Select(i => $"[{i}] {address} Code: {address}\n [<{address}>] and more"));
        StringWriter output = new(CultureInfo.InvariantCulture);
        new TextSymbolizer(_symbols).Rewrite(new Drops(text), output);
        Assert.Equal(Rewrite(text), output.ToString());
    }

    [Fact]
    public void The_offset_that_a_panic_tells_is_noticed()
    {
        TextSymbolizer text = new(_symbols);
        text.Rewrite(new StringReader("[ 3.1] Kernel Offset: 0x1c000000 from 0xffffffff81000000 (relocation range: ...)\n"), TextWriter.Null);
        Assert.Equal(0x1c000000UL, text.ToldOffset);
        TextSymbolizer none = new(_symbols);
        none.Rewrite(new StringReader("Kernel Offset: disabled\n"), TextWriter.Null);
        Assert.Null(none.ToldOffset);
    }

    [Fact]
    public void Whatever_the_bytes_text_comes_out_and_its_letters_are_all_there()
    {
        Random random = new(7);
        byte[] bytes = new byte[400];
        for (int i = 0; i < 2000; i++)
        {
            random.NextBytes(bytes);
            "ffffffff9d00"u8.CopyTo(bytes.AsSpan(random.Next(300)));
            string text = Encoding.Latin1.GetString(bytes);
            string rewritten = Rewrite(text);
            Assert.True(rewritten.Length >= text.Length && rewritten.Count(letter => letter == '\n') == text.Count(letter => letter == '\n'));
        }
    }

    private (string Address, string Name) Sample()
    {
        VirtualAddress address = Image.Value.Symbols.Resolve("vfs_read")[0] + (Base - Image.Value.Geometry.LinkBase) + 0x10;
        string name = _symbols.Find(address)!.Value.ToString();
        Assert.StartsWith("vfs_read+0x10/0x", name, StringComparison.Ordinal);
        return ($"{address.Value:x16}", name);
    }

    private string Rewrite(string text)
    {
        StringWriter output = new(CultureInfo.InvariantCulture);
        new TextSymbolizer(_symbols).Rewrite(new StringReader(text), output);
        return output.ToString();
    }

    /// <summary>A text that comes a few letters at a time, as from a pipe.</summary>
    private sealed class Drops(string text) : TextReader
    {
        private int _at;

        public override int Read(char[] buffer, int index, int count)
        {
            int length = Math.Min(Math.Min(7, count), text.Length - _at);
            text.CopyTo(_at, buffer, index, length);
            _at += length;
            return length;
        }
    }
}
