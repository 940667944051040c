namespace KaslrMt.Layout;

/// <summary>The numbered errors of this project: 10xx usage, 11xx keys and seeds, 12xx layouts.</summary>
public static class LayoutErrors
{
    /// <summary>A policy is not six digits of 0 and 1.</summary>
    public static readonly ErrorCode PolicyMalformed = new(1001, ErrorCategory.Usage);

    /// <summary>No address producer has this name.</summary>
    public static readonly ErrorCode ProducerUnknown = new(1002, ErrorCategory.Usage);

    /// <summary>The guest command line's <c>kaslr_mt</c> is not <c>kaslr_mt=KEY-BITMAP</c>.</summary>
    public static readonly ErrorCode KaslrMtMalformed = new(1003, ErrorCategory.Usage);

    /// <summary>The guest command line holds more than one <c>kaslr_mt</c>.</summary>
    public static readonly ErrorCode KaslrMtRepeated = new(1004, ErrorCategory.Usage);

    /// <summary><c>kaslr_mt</c> stands where the kernel takes no parameter, so the guest would see the key.</summary>
    public static readonly ErrorCode KaslrMtExposed = new(1005, ErrorCategory.Usage);

    /// <summary>The guest command line holds a NUL character.</summary>
    public static readonly ErrorCode CommandLineNul = new(1006, ErrorCategory.Usage);

    /// <summary>A VM seed is not 64 hexadecimal digits.</summary>
    public static readonly ErrorCode SeedMalformed = new(1007, ErrorCategory.Usage);

    /// <summary>A tenant key has fewer than 10 characters.</summary>
    public static readonly ErrorCode KeyTooShort = new(1101, ErrorCategory.Initialization);

    /// <summary>A tenant key has more than 256 characters.</summary>
    public static readonly ErrorCode KeyTooLong = new(1102, ErrorCategory.Initialization);

    /// <summary>A tenant key holds a character outside 0x21–0x7e.</summary>
    public static readonly ErrorCode KeyCharacter = new(1103, ErrorCategory.Initialization);

    /// <summary>A tenant key is one character repeated.</summary>
    public static readonly ErrorCode KeyOneCharacter = new(1104, ErrorCategory.Initialization);

    /// <summary>A tenant key has too few distinct characters.</summary>
    public static readonly ErrorCode KeyFewCharacters = new(1105, ErrorCategory.Initialization);

    /// <summary>A tenant key is mostly an obvious sequence, such as 0123456789 or a row of the keyboard.</summary>
    public static readonly ErrorCode KeySequence = new(1106, ErrorCategory.Initialization);

    /// <summary>A tenant key is a short piece repeated.</summary>
    public static readonly ErrorCode KeyPeriodic = new(1107, ErrorCategory.Initialization);

    /// <summary>A tenant key has digits only, and too few of them for 64 bits.</summary>
    public static readonly ErrorCode KeyDigits = new(1108, ErrorCategory.Initialization);

    /// <summary>The policy makes a region per-tenant and there is no tenant key.</summary>
    public static readonly ErrorCode KeyMissing = new(1111, ErrorCategory.Initialization);

    /// <summary>The policy makes a region per-VM and there is no VM seed.</summary>
    public static readonly ErrorCode SeedMissing = new(1112, ErrorCategory.Initialization);

    /// <summary>A VM boots again without its tenant's key, and what the key gave before does not fit any more.</summary>
    public static readonly ErrorCode DrawUnknown = new(1113, ErrorCategory.Initialization);

    /// <summary>What an image says about its size, alignment or addresses cannot be.</summary>
    public static readonly ErrorCode GeometryInvalid = new(1201, ErrorCategory.Image);

    /// <summary>The kernel does not fit between its link address and the modules.</summary>
    public static readonly ErrorCode KernelTooLarge = new(1202, ErrorCategory.Image);

    /// <summary>A guest memory map has no RAM, or ranges that overlap or leave the address space.</summary>
    public static readonly ErrorCode MemoryMapInvalid = new(1203, ErrorCategory.Memory);

    /// <summary>No place in the guest's RAM holds the kernel.</summary>
    public static readonly ErrorCode NoPhysicalSlot = new(1204, ErrorCategory.Memory);

    /// <summary>The guest's RAM reaches so high that the direct map would leave other regions too little entropy.</summary>
    public static readonly ErrorCode MemoryTooLarge = new(1205, ErrorCategory.Memory);

    /// <summary><c>nokaslr</c> asks for the link layout and the kernel's preferred physical address is not free.</summary>
    public static readonly ErrorCode LinkAddressTaken = new(1206, ErrorCategory.Memory);

    /// <summary>A layout failed the check before it is used: a fault of this program.</summary>
    public static readonly ErrorCode LayoutUnsound = new(1207, ErrorCategory.Initialization);

    /// <summary>The stream of a draw held no acceptable word (probability below 2^-300): a fault of this program.</summary>
    public static readonly ErrorCode DrawExhausted = new(1208, ErrorCategory.Initialization);
}
