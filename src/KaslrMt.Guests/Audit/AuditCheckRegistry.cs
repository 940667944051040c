using System.Collections;

namespace KaslrMt.Guests;

/// <summary>The checks that an audit can run, each under a name of its own: the built-in ones, and those that a program adds.</summary>
/// <remarks>A registry does not change: <see cref="With"/> returns another one.</remarks>
public sealed class AuditCheckRegistry : IReadOnlyList<AuditCheck>
{
    private const int LongestName = 32;

    private readonly IReadOnlyList<AuditCheck> _checks;

    private AuditCheckRegistry(IReadOnlyList<AuditCheck> checks) => _checks = checks;

    /// <summary>Gets the registry of the built-in checks, in the order they run.</summary>
    public static AuditCheckRegistry BuiltIn { get; } = new(
    [
        new WritableExecutableCheck(), new UserAccessibleCheck(), new GuardPageCheck(), new LogCheck(), new KeyCheck(), new CodeCheck(),
    ]);

    /// <inheritdoc/>
    public int Count => _checks.Count;

    /// <inheritdoc/>
    public AuditCheck this[int index] => _checks[index];

    /// <summary>Returns a registry of these checks and more.</summary>
    /// <param name="checks">The checks to add; they run after those that are there.</param>
    /// <exception cref="ArgumentException">A name is not legal (<see cref="AuditCheck.Name"/>), or is another check's already.</exception>
    public AuditCheckRegistry With(params AuditCheck[] checks)
    {
        ArgumentNullException.ThrowIfNull(checks);
        List<AuditCheck> all = [.. _checks];
        foreach (AuditCheck check in checks)
        {
            ArgumentNullException.ThrowIfNull(check, nameof(checks));
            if (!IsLegal(check.Name))
            {
                throw new ArgumentException($"'{Printable.Of(check.Name ?? "", 80)}' is not a check's name: use 1 to {LongestName} lower-case letters, digits and '-'", nameof(checks));
            }

            if (all.Exists(other => other.Name == check.Name))
            {
                throw new ArgumentException($"there is a check named '{check.Name}' already", nameof(checks));
            }

            all.Add(check);
        }

        return new AuditCheckRegistry(all);
    }

    /// <summary>Returns the check of a name; null where none has it.</summary>
    public AuditCheck? Find(string name) => _checks.FirstOrDefault(check => check.Name == name);

    /// <inheritdoc/>
    public IEnumerator<AuditCheck> GetEnumerator() => _checks.GetEnumerator();

    /// <inheritdoc/>
    IEnumerator IEnumerable.GetEnumerator() => GetEnumerator();

    private static bool IsLegal(string? name) =>
        name is { Length: > 0 and <= LongestName } && name.All(letter => char.IsAsciiLetterLower(letter) || char.IsAsciiDigit(letter) || letter == '-');
}
