namespace KaslrMt.Tenants.Sqlite;

/// <summary>What a parameter is bound to: nothing, a number, a text or bytes. A value, since a change binds thirty of them.</summary>
internal readonly record struct SqliteValue
{
    private SqliteValue(object? reference, long number, bool isNumber) => (Reference, Number, IsNumber) = (reference, number, isNumber);

    internal object? Reference { get; }

    internal long Number { get; }

    internal bool IsNumber { get; }

    /// <summary>Whether binding it changes nothing where <paramref name="bound"/> is bound. Bytes may have changed in place: never.</summary>
    internal bool IsBoundAs(SqliteValue bound) => IsNumber == bound.IsNumber
        && (IsNumber ? Number == bound.Number : Reference is null ? bound.Reference is null : Reference is string text && text == bound.Reference as string);

    public static implicit operator SqliteValue(long number) => new(null, number, isNumber: true);

    public static implicit operator SqliteValue(string? text) => new(text, 0, isNumber: false);

    public static implicit operator SqliteValue(byte[]? bytes) => new(bytes, 0, isNumber: false);
}
