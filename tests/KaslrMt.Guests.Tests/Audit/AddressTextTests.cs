using System.Text;

namespace KaslrMt.Guests.Tests.Audit;

/// <summary>What counts as a kernel address in text.</summary>
public sealed class AddressTextTests
{
    [Theory]
    [InlineData("ffffffff81000000", 0)]
    [InlineData("at 0xffffffff81000000.", 5)]
    [InlineData("[<ffffffff81000000>]", 2)]
    [InlineData("RIP: 0010:ffffffff81000000", 10)]
    [InlineData("RIP: 0010:0xFFFFFFFF81000000", 12)]
    [InlineData("f ff fffffffffffff81000 ffffffff81000000", 24)]
    public void An_address_is_found_where_it_begins(string text, int at)
    {
        Assert.True(AddressText.TryNext(Encoding.ASCII.GetBytes(text), 0, out int found, out ulong address));
        Assert.Equal((at, 0xffffffff81000000UL), (found, address));
    }

    [Theory]
    [InlineData("ffffffff8100000")] // 15 digits
    [InlineData("ffffffff810000001")] // 17
    [InlineData("sha:affffffff81000000ff")]
    [InlineData("xffffffff81000000")] // a word that ends in digits
    [InlineData("ffffffff81000000_text")]
    [InlineData("a0xffffffff81000000")]
    [InlineData("00007fff81000000")] // a program's
    [InlineData("ffff700000000000")] // no address at all
    [InlineData("")]
    public void What_is_no_kernel_address_is_not(string text) => Assert.False(AddressText.TryNext(Encoding.ASCII.GetBytes(text), 0, out _, out _));
}
