using System.Buffers.Binary;
using KaslrMt.Kernels;

namespace KaslrMt.Guests.Tests.Audit;

/// <summary>No change of a kernel's code passes for the kernel's own patching; what the kernel itself writes does. On real kernels, without a guest.</summary>
public sealed class KernelCodeTests
{
    private const int Flips = 2000;
    private const int Apart = 96;
    private static readonly VirtualAddress Base = new(0xffffffff9d000000);

    [Theory]
    [InlineData("6.1-cloud")]
    [InlineData("6.12-cloud")]
    public void A_text_that_nothing_has_patched_differs_nowhere(string kernel)
    {
        using KernelImage image = KernelImage.Open(TestKernels.Image(kernel));
        KernelCode code = KernelCode.Of(image, Base, _ => null)!;
        Assert.True(code.Length > 10 << 20);
        Assert.Empty(CodeDifference.In(code.Compare(Text(image, code)), 8));
        Assert.True(code.Tables.TraceSites.Count() > 10_000 && code.Tables.ReturnSites.Count() > 10_000 && code.Tables.JumpLabels.Count() > 1_000);
        Assert.True(code.Tables.StaticCalls.Count() > 500 && code.Tables.Alternatives(_ => true).Count > 1_000 && code.Tables.LockPrefixes.Count() > 1_000);
    }

    [Theory]
    [InlineData("6.1-cloud", 1)]
    [InlineData("6.12-cloud", 2)]
    public void Every_changed_byte_of_the_text_is_a_difference_wherever_it_is(string kernel, int seed)
    {
        using KernelImage image = KernelImage.Open(TestKernels.Image(kernel));
        KernelCode code = KernelCode.Of(image, Base, _ => null)!;
        byte[] text = Text(image, code);
        Random random = new(seed);
        SortedSet<int> changed = [];
        while (changed.Count < Flips)
        {
            int at = random.Next(code.Length);
            if (changed.GetViewBetween(at - Apart, at + Apart).Count == 0)
            {
                changed.Add(at);
                text[at] ^= (byte)random.Next(1, 256);
            }
        }

        Assert.Equal(changed, CodeDifference.In(code.Compare(text), 8).Select(difference => difference.Offset));
    }

    [Theory]
    [InlineData("6.1-cloud")]
    [InlineData("6.12-cloud")]
    public void At_a_place_that_the_kernel_patches_only_what_the_kernel_writes_there_is_taken(string kernel)
    {
        using KernelImage image = KernelImage.Open(TestKernels.Image(kernel));
        KernelCode code = KernelCode.Of(image, Base, _ => null)!;
        ulong start = code.Start.Value;
        bool Inside(ulong address) => address - start < (ulong)code.Length - 16;
        ulong trace = code.Tables.TraceSites.Where(Inside).ElementAt(100);
        (ulong label, ulong target) = code.Tables.JumpLabels.First(label => Inside(label.Code) && Length(image, code, label.Code) == 5);
        ulong returns = code.Tables.ReturnSites.Where(Inside).ElementAt(100);
        ulong locked = code.Tables.LockPrefixes.Where(Inside).ElementAt(100);
        ulong elsewhere = start + (ulong)code.Length + 0x1000;

        Taken(trace, [0x0f, 0x1f, 0x44, 0x00, 0x00]);
        Taken(trace, [0x66, 0x66, 0x66, 0x66, 0x90]);
        Taken(trace, Branch(0xe8, trace, code.Symbols.Named("ftrace_caller")!.Value));
        Refused(trace, Branch(0xe8, trace, elsewhere));
        Refused(trace, Branch(0xe9, trace, code.Symbols.Named("ftrace_caller")!.Value));
        Taken(label, Branch(0xe9, label, target));
        Refused(label, Branch(0xe9, label, target + 1));
        Refused(label, Branch(0xe8, label, target));
        Taken(returns, [0xc3, 0xcc, 0xcc, 0xcc, 0xcc]);
        Refused(returns, [0xc3, 0xcc, 0xcc, 0xcc, 0x90]);
        Refused(returns, Branch(0xe9, returns, elsewhere));
        Taken(locked, [0x3e]);
        Refused(locked, [0x90]);

        void Taken(ulong address, byte[] bytes) => Assert.Empty(Differences(address, bytes));

        void Refused(ulong address, byte[] bytes)
        {
            CodeDifference difference = Assert.Single(Differences(address, bytes));
            Assert.InRange((int)(start + (ulong)difference.Offset - address), 0, bytes.Length - 1);
        }

        CodeDifference[] Differences(ulong address, byte[] bytes)
        {
            byte[] text = Text(image, code);
            bytes.CopyTo(text, (int)(address - start));
            return [.. CodeDifference.In(code.Compare(text), 8)];
        }
    }

    [Theory]
    [InlineData("6.1-cloud")]
    [InlineData("6.12-cloud")]
    public void Modules_by_name_are_no_difference_and_a_hook_in_their_code_or_calls_is_one(string kernel)
    {
        using KernelImage image = KernelImage.Open(TestKernels.Image(kernel));
        ModuleNamePatch patch = image.Facts.ModuleNames!;
        VirtualAddress placer = image.LinkAddressOf(patch.CodeOffset)!.Value;
        byte[] behind = image.Bytes(placer, patch.Code.Length + 16).ToArray();
        ulong? ReadBehind(ulong address) => address - Base.Value - (placer - image.Geometry.LinkBase) is var at && at < (ulong)behind.Length - 8
            ? BinaryPrimitives.ReadUInt64LittleEndian(behind.AsSpan((int)at))
            : null;
        KernelCode code = KernelCode.Of(image, Base, ReadBehind)!;
        byte[] text = Text(image, code);
        byte[] placed = [.. patch.Code];
        BinaryPrimitives.WriteUInt32LittleEndian(placed.AsSpan(patch.SaltOffset), 0x12345678);
        Plant(placer, placed);
        foreach (ModuleNamePatch.Jump jump in patch.Jumps)
        {
            Plant(image.LinkAddressOf(jump.Offset)!.Value, jump.Bytes);
        }

        Assert.Empty(CodeDifference.In(code.Compare([.. text]), 8));
        for (int i = 0; i < placed.Length; i += 7)
        {
            if (i < patch.SaltOffset || i >= patch.SaltOffset + sizeof(uint))
            {
                placed[i] ^= 0x41;
                Plant(placer, placed);
                Assert.NotEmpty(CodeDifference.In(code.Compare([.. text]), 8));
                placed[i] ^= 0x41;
            }
        }

        Plant(placer, placed);
        VirtualAddress call = image.LinkAddressOf(patch.Jumps[^1].Offset)!.Value;
        Plant(call, Branch(0xe9, call.Value, placer.Value + 1));
        Assert.NotEmpty(CodeDifference.In(code.Compare([.. text]), 8));

        void Plant(VirtualAddress link, byte[] bytes)
        {
            ulong at = link - image.Geometry.LinkBase;
            if (at + (ulong)bytes.Length <= (ulong)text.Length)
            {
                bytes.CopyTo(text, (int)at);
            }
            else
            {
                bytes.CopyTo(behind, 0);
            }
        }
    }

    private static byte[] Text(KernelImage image, KernelCode code) => image.Bytes(image.Geometry.LinkBase, code.Length).ToArray();

    private static int Length(KernelImage image, KernelCode code, ulong address) =>
        Text(image, code)[(int)(address - code.Start.Value)] is 0xe9 or 0x0f ? 5 : 2;

    private static byte[] Branch(byte opcode, ulong from, ulong to)
    {
        var bytes = new byte[5];
        bytes[0] = opcode;
        BinaryPrimitives.WriteInt32LittleEndian(bytes.AsSpan(1), (int)(long)(to - from - 5));
        return bytes;
    }
}
