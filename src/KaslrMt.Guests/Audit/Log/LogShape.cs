namespace KaslrMt.Guests;

/// <summary>Where the log's structures keep what is read: sizes and offsets in bytes, inside the structures.</summary>
internal readonly record struct LogShape(int DescriptorSize, int State, int Begin, int Next, int InfoSize, int Number, int Time, int TextLength);
