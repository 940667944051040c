using System.Buffers.Binary;
using System.Diagnostics;
using Xunit.Abstractions;

namespace KaslrMt.Kernels.Tests.Symbols;

/// <summary>Damaged and hostile tables give a numbered error or some answer, in bounded time; never another exception.</summary>
public sealed class HostileKallsymsTests(ITestOutputHelper output)
{
    private const int MutantsOfEachLayout = 3000;
    private const int MutantsOfEachKernel = 1000;

    private static readonly string[] Names = ["_text", "setup_arch", "no_such_symbol"];

    public static TheoryData<string> Layouts => SyntheticLayout.Names;

    public static TheoryData<string> KernelsOfEveryMachine => new(TestKernels.Always);

    [Theory]
    [MemberData(nameof(Layouts))]
    public void Mutated_tables_give_an_answer_or_a_numbered_error(string kernels)
    {
        SyntheticKallsyms kernel = new(SyntheticLayout.Of(kernels), seed: 3);
        Fuzz(kernel.Memory, kernel.Start, kernel.End, SyntheticKallsyms.Base, MutantsOfEachLayout);
    }

    [Theory]
    [MemberData(nameof(KernelsOfEveryMachine))]
    public void Mutated_tables_of_real_kernels_give_an_answer_or_a_numbered_error(string name)
    {
        byte[] memory = RealKernel.ReadFlat(name);
        KallsymsLayout layout = Kallsyms.Read(memory, RealKernel.LinkBase).Layout;
        int start = (Math.Min(layout.Names, layout.Offsets) - 4096) & ~7;
        int end = Math.Max(layout.TokenIndex, layout.Offsets + (4 * layout.SymbolCount)) + 4096;
        Fuzz(memory[start..end], 4096, end - start - 4096, RealKernel.LinkBase.Value + (ulong)start, MutantsOfEachKernel);
    }

    [Theory]
    [MemberData(nameof(Layouts))]
    public void Tables_cut_off_at_any_place_give_a_numbered_error(string kernels)
    {
        SyntheticKallsyms kernel = new(SyntheticLayout.Of(kernels), seed: 4);
        KallsymsLayout layout = kernel.Read().Layout;
        int needed = layout.Order == KallsymsOrder.OffsetsFirst
            ? layout.TokenIndex + 512
            : (layout.RelativeBase + 8) ?? (layout.Offsets + (4 * layout.SymbolCount));
        for (int length = 0; length < needed; length += length < kernel.Start ? 4096 : 61)
        {
            Assert.False(Kallsyms.TryCopy(kernel.Memory.AsSpan(0, length), Base, out _, out KaslrMtException? error), $"{length} of {needed} bytes");
            Assert.Contains(error.Code, new[] { KernelErrors.KallsymsNotFound, KernelErrors.KallsymsInconsistent });
        }

        Assert.True(Kallsyms.TryCopy(kernel.Memory.AsSpan(0, needed), Base, out _, out _));
    }

    [Fact]
    public void Memory_without_tables_is_told_from_damaged_tables()
    {
        SyntheticKallsyms kernel = new(SyntheticLayout.Of("6.4"), seed: 6);
        KallsymsLayout layout = kernel.Read().Layout;
        Assert.Equal(KernelErrors.KallsymsNotFound, Error([], Base).Code);
        Assert.Equal(KernelErrors.KallsymsNotFound, Error(new byte[100_000], Base).Code);

        KaslrMtException outOfOrder = Damaged(kernel, layout.Offsets + (4 * 600), 1);
        Assert.Equal(KernelErrors.KallsymsInconsistent, outOfOrder.Code);
        Assert.Contains($"kallsyms_offsets at offset 0x{layout.Offsets + (4 * 600):x}", outOfOrder.Message, StringComparison.Ordinal);

        KaslrMtException marker = Damaged(kernel, layout.Markers + 8, BinaryPrimitives.ReadUInt32LittleEndian(kernel.Memory.AsSpan(layout.Markers + 8)) + 1);
        Assert.Contains($"kallsyms_markers at offset 0x{layout.Markers + 8:x}", marker.Message, StringComparison.Ordinal);

        KaslrMtException elsewhere = Error(kernel.Memory, new VirtualAddress(SyntheticKallsyms.Base + 0x4000_1000));
        Assert.Contains($"kallsyms_relative_base at offset 0x{layout.RelativeBase:x}", elsewhere.Message, StringComparison.Ordinal);
        Assert.DoesNotContain("ffffffff", elsewhere.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Aliases_are_capped_where_all_symbols_share_an_address()
    {
        SyntheticKallsyms kernel = new(SyntheticLayout.Of("6.15"), seed: 9, count: 3000);
        int offsets = kernel.Read().Layout.Offsets;
        kernel.Memory.AsSpan(offsets, 4 * 2999).Clear();
        KallsymsLocation? place = kernel.Read().Find(Base);
        Assert.NotNull(place);
        Assert.Equal(0, place.Symbol.Index);
        Assert.Equal(Kallsyms.MaxAliases, place.Aliases.Count);
    }

    [Fact]
    public void Missing_symbols_are_all_named()
    {
        SyntheticKallsyms kernel = new(SyntheticLayout.Of("7.0"), seed: 6);
        Kallsyms tables = kernel.Read();
        string present = kernel.Symbols[500].Name;
        KaslrMtException error = Assert.Throws<KaslrMtException>(() => tables.Resolve("no_such_symbol", present, "", "naïve"));
        Assert.Equal(KernelErrors.KallsymsSymbolMissing, error.Code);
        Assert.Contains("no_such_symbol, , naïve ", error.Message, StringComparison.Ordinal);
        Assert.False(tables.TryResolve(["no_such_symbol", present], out VirtualAddress?[] found));
        Assert.Equal([null, kernel.Symbols.First(symbol => symbol.Name == present).Address], found);
        Assert.Empty(tables.All("no_such_symbol"));
        Assert.Empty(tables.Resolve());
    }

    [Theory]
    [InlineData(2)]
    [InlineData(4)]
    [InlineData(6)]
    public void Memory_full_of_decoys_is_given_up_in_bounded_time(int megabytes)
    {
        SyntheticKallsyms kernel = new(SyntheticLayout.Of("7.0"), seed: 8);
        KallsymsLayout layout = kernel.Read().Layout;
        byte[] digits = "0\01\02\03\04\05\06\07\08\09\0"u8.ToArray();
        byte[] tokens = kernel.Memory[layout.TokenTable..layout.Offsets];
        byte[] markers = new byte[64];
        for (int i = 0; i < 16; i++)
        {
            BinaryPrimitives.WriteInt32LittleEndian(markers.AsSpan(4 * i), i * 100_000);
        }

        byte[][][] patterns = [[digits], [tokens], [markers, tokens], [.. Enumerable.Repeat(markers, 1000), tokens]];
        foreach (byte[][] pattern in patterns)
        {
            byte[] memory = new byte[megabytes << 20];
            for (int at = 0, next = 0; at < memory.Length; next++)
            {
                byte[] piece = pattern[next % pattern.Length];
                piece.AsSpan(0, Math.Min(piece.Length, memory.Length - at)).CopyTo(memory.AsSpan(at));
                at += piece.Length;
            }

            long start = Stopwatch.GetTimestamp();
            Assert.NotNull(Error(memory, Base));
            Assert.InRange(Stopwatch.GetElapsedTime(start).TotalSeconds, 0, megabytes);
        }
    }

    private static VirtualAddress Base => new(SyntheticKallsyms.Base);

    private static KaslrMtException Damaged(SyntheticKallsyms kernel, int at, uint value)
    {
        byte[] memory = [.. kernel.Memory];
        BinaryPrimitives.WriteUInt32LittleEndian(memory.AsSpan(at), value);
        return Error(memory, Base);
    }

    private static KaslrMtException Error(byte[] memory, VirtualAddress imageBase)
    {
        Assert.False(Kallsyms.TryRead(memory, imageBase, out Kallsyms? tables, out KaslrMtException? error));
        Assert.Null(tables);
        return error;
    }

    private void Fuzz(byte[] original, int start, int end, ulong imageBase, int mutants)
    {
        byte[] memory = new byte[original.Length];
        Mutation.Run(output, mutants, 2400..2499, random =>
        {
            original.CopyTo(memory, 0);
            int length = random.Next(8) == 0 ? random.Next(memory.Length) : memory.Length;
            for (int i = random.Next(5); i >= 0; i--)
            {
                Mutate(memory, start, end, random);
            }

            if (!Kallsyms.TryRead(memory.AsMemory(0, length), new VirtualAddress(imageBase), out Kallsyms? tables, out KaslrMtException? error))
            {
                throw error;
            }

            Use(tables, random);
            return true;
        });
    }

    private static void Mutate(byte[] memory, int start, int end, Random random)
    {
        int at = random.Next(start, end);
        int room = Math.Min(end - at, 1 + random.Next(64));
        switch (random.Next(6))
        {
            case 0:
                memory[at] ^= (byte)(1 << random.Next(8));
                break;
            case 1:
                memory.AsSpan(at, room).Clear();
                break;
            case 2:
                memory.AsSpan(at, room).Fill(0xff);
                break;
            case 3:
                random.NextBytes(memory.AsSpan(at, room));
                break;
            case 4:
                // The numbers and the first entries decide where everything else is.
                BinaryPrimitives.WriteInt32LittleEndian(memory.AsSpan(start + (4 * random.Next(8))), random.Next(int.MinValue, int.MaxValue));
                break;
            default:
                memory.AsSpan(random.Next(start, end - room), room).CopyTo(memory.AsSpan(at));
                break;
        }
    }

    private static void Use(Kallsyms tables, Random random)
    {
        Assert.False(tables.TryResolve(Names, out _));
        _ = tables.All("_text");
        KallsymsSymbol symbol = tables[random.Next(tables.Count)];
        _ = tables.Find(symbol.Address + (ulong)random.Next(100));
        int count = 0;
        foreach (KallsymsEntry entry in tables)
        {
            Assert.True(entry.NameBytes.Length <= Kallsyms.MaxNameBytes);
            if (++count == 500)
            {
                break;
            }
        }
    }
}
