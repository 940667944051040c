namespace KaslrMt.Kernels;

/// <summary>The code a guest starts in: 32-bit PVH entry to the kernel's 64-bit entry.</summary>
/// <remarks>
/// <para>A PVH loader jumps here in 32-bit protected mode without paging, EBX pointing to <c>struct hvm_start_info</c>
/// (Xen's <c>docs/misc/pvh.pandoc</c>, <c>arch-x86/hvm/start_info.h</c>). The stub completes the prepared zero page with what only the
/// monitor knows (command line, initrd, RSDP, memory map), turns on long mode with the prepared page tables and jumps to
/// <c>startup_64</c> as <c>Documentation/arch/x86/boot.rst</c> ("64-bit boot protocol") asks: flat CS and DS of the boot GDT, identity
/// mapping, RSI pointing to the zero page.</para>
/// <para>The kernel's own PVH entry cannot serve: it runs from the link layout, and dereferences addresses of the direct map before the
/// chosen one exists.</para>
/// <para>Firmware works in high memory before it enters the kernel, where the kernel may have been loaded already. The image carries those
/// pages a second time, further down, and the stub puts them back: so no slot is lost to firmware.</para>
/// <para>CR4 is loaded with PAE alone: with LA57 clear the kernel stays on four levels whatever the processor offers.</para>
/// </remarks>
internal static class EntryStub
{
    /// <summary>Where the stub is loaded: below every kernel slot (16 MiB up), above everything firmware keeps (1 MiB down).</summary>
    public const uint LoadAddress = 0x100000;

    /// <summary>Where the zero page (<c>struct boot_params</c>) is loaded.</summary>
    public const uint ZeroPageAddress = LoadAddress + 0x1000;

    /// <summary>Where the top page table is loaded.</summary>
    public const uint PageTableAddress = LoadAddress + 0x2000;

    /// <summary>Where the GDT's descriptor lies; the stack grows down from it.</summary>
    public const int GdtPointerOffset = 0xf00;

    /// <summary>Where the GDT lies.</summary>
    public const int GdtOffset = 0xf10;

    /// <summary>Where the physical address of the kernel's 64-bit entry is stored, 8 bytes.</summary>
    public const int KernelEntryOffset = 0xf40;

    /// <summary>Where it is stored what firmware overwrote and the stub puts back: source, target (4 bytes each, physical), count of 8-byte words (4 bytes).</summary>
    public const int RestoreOffset = 0xf48;

    /// <summary>Null, unused, flat 64-bit code (0x10, __BOOT_CS), flat data (0x18, __BOOT_DS).</summary>
    public static ReadOnlySpan<ulong> Gdt => [0, 0, 0x00af9b000000ffff, 0x00cf93000000ffff];

    /// <summary>The machine code, at most <see cref="GdtPointerOffset"/> bytes less a little stack; position-dependent on <see cref="LoadAddress"/>.</summary>
    public static ReadOnlySpan<byte> Code =>
    [
        // 32-bit code.
        0xfa,                                           //       cli
        0xfc,                                           //       cld
        0x81, 0x3b, 0x78, 0xc5, 0x6e, 0x33,             //       cmp   dword [ebx], 0x336ec578    ; hvm_start_info.magic
        0x0f, 0x85, 0xee, 0x00, 0x00, 0x00,             //       jne   halt
        0xbf, 0x00, 0x10, 0x10, 0x00,                   //       mov   edi, ZeroPageAddress
        0x8b, 0x43, 0x18,                               //       mov   eax, [ebx+0x18]            ; cmdline_paddr, low
        0x89, 0x87, 0x28, 0x02, 0x00, 0x00,             //       mov   [edi+0x228], eax           ; hdr.cmd_line_ptr
        0x8b, 0x43, 0x1c,                               //       mov   eax, [ebx+0x1c]            ; cmdline_paddr, high
        0x89, 0x87, 0xc8, 0x00, 0x00, 0x00,             //       mov   [edi+0xc8], eax            ; ext_cmd_line_ptr
        0x8b, 0x43, 0x20,                               //       mov   eax, [ebx+0x20]            ; rsdp_paddr, low
        0x89, 0x47, 0x70,                               //       mov   [edi+0x70], eax            ; acpi_rsdp_addr, low
        0x8b, 0x43, 0x24,                               //       mov   eax, [ebx+0x24]            ; rsdp_paddr, high
        0x89, 0x47, 0x74,                               //       mov   [edi+0x74], eax            ; acpi_rsdp_addr, high
        0x83, 0x7b, 0x0c, 0x00,                         //       cmp   dword [ebx+0xc], 0         ; nr_modules
        0x74, 0x26,                                     //       je    map
        0x8b, 0x73, 0x10,                               //       mov   esi, [ebx+0x10]            ; modlist_paddr
        0x8b, 0x06,                                     //       mov   eax, [esi]                 ; initrd address, low
        0x89, 0x87, 0x18, 0x02, 0x00, 0x00,             //       mov   [edi+0x218], eax           ; hdr.ramdisk_image
        0x8b, 0x46, 0x04,                               //       mov   eax, [esi+0x4]
        0x89, 0x87, 0xc0, 0x00, 0x00, 0x00,             //       mov   [edi+0xc0], eax            ; ext_ramdisk_image
        0x8b, 0x46, 0x08,                               //       mov   eax, [esi+0x8]             ; initrd size, low
        0x89, 0x87, 0x1c, 0x02, 0x00, 0x00,             //       mov   [edi+0x21c], eax           ; hdr.ramdisk_size
        0x8b, 0x46, 0x0c,                               //       mov   eax, [esi+0xc]
        0x89, 0x87, 0xc4, 0x00, 0x00, 0x00,             //       mov   [edi+0xc4], eax            ; ext_ramdisk_size
        0x8b, 0x4b, 0x30,                               // map:  mov   ecx, [ebx+0x30]            ; memmap_entries
        0x81, 0xf9, 0x80, 0x00, 0x00, 0x00,             //       cmp   ecx, 128                   ; E820_MAX_ENTRIES_ZEROPAGE
        0x76, 0x05,                                     //       jbe   count
        0xb9, 0x80, 0x00, 0x00, 0x00,                   //       mov   ecx, 128
        0x88, 0x8f, 0xe8, 0x01, 0x00, 0x00,             // count: mov  [edi+0x1e8], cl            ; e820_entries
        0x8b, 0x73, 0x28,                               //       mov   esi, [ebx+0x28]            ; memmap_paddr
        0x81, 0xc7, 0xd0, 0x02, 0x00, 0x00,             //       add   edi, 0x2d0                 ; e820_table
        0xe3, 0x0b,                                     // next: jecxz long
        0xa5, 0xa5, 0xa5, 0xa5, 0xa5,                   //       movsd x 5                        ; address, size, type
        0x83, 0xc6, 0x04,                               //       add   esi, 4                     ; reserved
        0x49,                                           //       dec   ecx
        0xeb, 0xf3,                                     //       jmp   next
        0x0f, 0x01, 0x15, 0x00, 0x0f, 0x10, 0x00,       // long: lgdt  [GdtPointer]
        0xb8, 0x20, 0x00, 0x00, 0x00,                   //       mov   eax, 0x20                  ; CR4.PAE alone
        0x0f, 0x22, 0xe0,                               //       mov   cr4, eax
        0xb8, 0x00, 0x20, 0x10, 0x00,                   //       mov   eax, PageTableAddress
        0x0f, 0x22, 0xd8,                               //       mov   cr3, eax
        0xb9, 0x80, 0x00, 0x00, 0xc0,                   //       mov   ecx, 0xc0000080            ; EFER
        0x0f, 0x32,                                     //       rdmsr
        0x0f, 0xba, 0xe8, 0x08,                         //       bts   eax, 8                     ; EFER.LME
        0x0f, 0x30,                                     //       wrmsr
        0x0f, 0x20, 0xc0,                               //       mov   eax, cr0
        0x0d, 0x01, 0x00, 0x00, 0x80,                   //       or    eax, 0x80000001            ; CR0.PG, CR0.PE
        0x0f, 0x22, 0xc0,                               //       mov   cr0, eax
        0xea, 0xbf, 0x00, 0x10, 0x00, 0x10, 0x00,       //       jmp   0x10:LoadAddress+0xbf

        // 64-bit code.
        0xb8, 0x18, 0x00, 0x00, 0x00,                   //       mov   eax, 0x18
        0x8e, 0xd8,                                     //       mov   ds, eax
        0x8e, 0xc0,                                     //       mov   es, eax
        0x8e, 0xd0,                                     //       mov   ss, eax
        0x31, 0xc0,                                     //       xor   eax, eax
        0x8e, 0xe0,                                     //       mov   fs, eax
        0x8e, 0xe8,                                     //       mov   gs, eax
        0x8b, 0x34, 0x25, 0x48, 0x0f, 0x10, 0x00,       //       mov   esi, [RestoreSource]
        0x8b, 0x3c, 0x25, 0x4c, 0x0f, 0x10, 0x00,       //       mov   edi, [RestoreTarget]
        0x8b, 0x0c, 0x25, 0x50, 0x0f, 0x10, 0x00,       //       mov   ecx, [RestoreWords]
        0xf3, 0x48, 0xa5,                               //       rep movsq
        0xbc, 0x00, 0x0f, 0x10, 0x00,                   //       mov   esp, GdtPointer
        0xbe, 0x00, 0x10, 0x10, 0x00,                   //       mov   esi, ZeroPageAddress
        0x48, 0x8b, 0x04, 0x25, 0x40, 0x0f, 0x10, 0x00, //       mov   rax, [KernelEntry]
        0xff, 0xe0,                                     //       jmp   rax
        0xf4,                                           // halt: hlt
        0xeb, 0xfd,                                     //       jmp   halt
    ];
}
