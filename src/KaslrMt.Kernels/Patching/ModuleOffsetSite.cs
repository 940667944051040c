using System.Buffers.Binary;

namespace KaslrMt.Kernels;

/// <summary>The place where a kernel draws its module offset: a call whose result the host supplies instead.</summary>
/// <remarks>
/// <para>Kernels before 6.10 draw in <c>module_alloc</c> (<c>arch/x86/kernel/module.c</c>), later ones in <c>execmem_arch_setup</c>
/// (<c>arch/x86/mm/init.c</c>). Both want 1 to 1024 pages: from a masked 32-bit number (5.x), or from a 16-bit one scaled by
/// <c>(1024 * u16) >> 16</c> (6.1 on, constant bounds of <c>get_random_u32_below</c>).</para>
/// <para>The 5-byte call becomes the 5-byte <c>mov eax, imm32</c>. Which number gives which page is not assumed: the instructions behind the
/// call are evaluated for candidates until one yields the wanted offset for all 1024 slots.</para>
/// </remarks>
/// <param name="FileOffset">Where the call lies in the image's file.</param>
/// <param name="Function">The function that holds it.</param>
/// <param name="Shift">The number is the slot shifted left by this many bits.</param>
public readonly record struct ModuleOffsetSite(int FileOffset, string Function, int Shift)
{
    /// <summary>How many module bases there are.</summary>
    public const int Slots = 1024;

    private const byte MovEaxImmediate = 0xb8;

    private static readonly int[] Shifts = [6, 0, 22];

    /// <summary>Finds the one call to a random number function in <paramref name="function"/> and the number each slot needs.</summary>
    /// <exception cref="KaslrMtException">KMT2502 (no such call, or several), KMT2504 (arithmetic that is not understood).</exception>
    internal static ModuleOffsetSite Locate(KernelFunction function, IReadOnlyCollection<VirtualAddress> randomFunctions)
    {
        int[] calls = [.. function.CallsTo(randomFunctions)];
        if (calls.Length != 1)
        {
            throw new KaslrMtException(
                KernelErrors.CallSite,
                $"{function.Name} at link address {function.Start} holds {calls.Length} calls to the kernel's random number functions, expected exactly one",
                "this kernel draws its module offset in a way that is not known yet");
        }

        foreach (int shift in Shifts)
        {
            if (RegisterArithmetic.YieldsPageOffset(function.Instructions, calls[0] + 1, Slots, shift))
            {
                return new ModuleOffsetSite(function.OffsetOf(calls[0]), function.Name, shift);
            }
        }

        throw new KaslrMtException(
            KernelErrors.ModuleOffsetDraw,
            $"the arithmetic behind the call at 0x{function.Instructions[calls[0]].IP:x16} in {function.Name} does not give 1 to 1024 pages",
            "this kernel draws its module offset in a way that is not known yet");
    }

    /// <summary>The instruction that makes the kernel take a slot: its first module address is 0xffffffffc0000000 + (slot + 1) pages.</summary>
    /// <param name="slot">0 to 1023.</param>
    /// <param name="shift">The site's <see cref="Shift"/>.</param>
    internal static byte[] Instruction(int slot, int shift)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(slot);
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(slot, Slots);
        var instruction = new byte[5];
        instruction[0] = MovEaxImmediate;
        BinaryPrimitives.WriteUInt32LittleEndian(instruction.AsSpan(1), (uint)slot << shift);
        return instruction;
    }
}
