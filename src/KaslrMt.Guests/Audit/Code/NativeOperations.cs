namespace KaslrMt.Guests;

/// <summary>The instructions that kernels before 5.12 put in place of paravirt calls (<c>arch/x86/kernel/paravirt_patch.c</c>).</summary>
internal static class NativeOperations
{
    private static readonly byte[][] Operations =
    [
        [0xfa], // cli
        [0xfb], // sti
        [0x9c, 0x58], // pushf; pop rax
        [0x57, 0x9d], // push rdi; popf
        [0x0f, 0x20, 0xd0], // mov rax, cr2
        [0x0f, 0x20, 0xd8], // mov rax, cr3
        [0x0f, 0x22, 0xdf], // mov cr3, rdi
        [0x0f, 0x09], // wbinvd
        [0x48, 0x89, 0xf8], // mov rax, rdi
        [0x0f, 0x01, 0xf8, 0x48, 0x0f, 0x07], // swapgs; sysretq
        [0x0f, 0x01, 0xf8], // swapgs
        [0x31, 0xc0], // xor eax, eax
        [0xc6, 0x07, 0x00], // movb [rdi], 0
    ];

    /// <summary>Whether the bytes are one of them, and filling.</summary>
    public static bool Contains(ReadOnlySpan<byte> found)
    {
        foreach (byte[] operation in Operations)
        {
            if (found.StartsWith(operation) && BranchRules.IsFilling(found[operation.Length..]))
            {
                return true;
            }
        }

        return false;
    }
}
