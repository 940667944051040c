namespace KaslrMt.Guests.Tests.Audit;

/// <summary>The same code at two places is the same, even where data between functions leads a decoder astray.</summary>
public sealed class NormalizedCodeTests
{
    private const ulong Place = 0xffffffffc0500000;

    // A stray 0x0f, then trampolines of static calls as modules have them (jmp rel32; ud1): decoded from the start, every jump is split.
    [Theory]
    [InlineData(0x000b3adf, 0x099e3adf)]
    [InlineData(0x00010000, 0x00770000)]
    public void Jumps_to_a_module_that_lies_elsewhere_are_the_same_behind_data_that_leads_the_decoder_astray(int here, int there)
    {
        byte[] first = Text(here), second = Text(there);
        ulong[] starts = [Place + 1, Place + 9];
        NormalizedCode one = NormalizedCode.Of(first, Place, address => address == Target(here) ? 7UL : null, starts);
        NormalizedCode other = NormalizedCode.Of(second, Place, address => address == Target(there) ? 7UL : null, starts);
        Assert.Equal(one.Sum, other.Sum);
        Assert.Empty(one.DifferencesIn(other));

        second[0] ^= 1;
        second[13] ^= 0x10;
        other = NormalizedCode.Of(second, Place, address => address == Target(there) ? 7UL : 9UL, starts);
        Assert.Equal([0, 9], one.DifferencesIn(other));
    }

    private static ulong Target(int distance) => Place + 9 + 5 + (ulong)distance;

    private static byte[] Text(int distance) =>
        [0xb9, 0xe9, 0x02, 0x00, 0x00, 0x00, 0x0f, 0xb9, 0xcc, 0xe9, .. BitConverter.GetBytes(distance), 0x0f, 0xb9, 0xcc];
}
