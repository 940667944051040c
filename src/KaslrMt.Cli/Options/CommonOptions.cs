using System.CommandLine;
using System.CommandLine.Parsing;
using System.Globalization;

namespace KaslrMt.Cli.Options;

/// <summary>Options that several commands share, and what options have in common.</summary>
internal static class CommonOptions
{
    /// <summary><c>--json</c>: the report for programs.</summary>
    public static Option<bool> Json() => new("--json") { Description = "Print JSON for programs" };

    /// <summary><c>--no-cache</c>: prepared kernels are neither taken from the cache nor put there.</summary>
    public static Option<bool> NoCache() => new("--no-cache") { Description = "Neither use nor fill the cache of prepared kernels" };

    /// <summary><c>NAME</c> of a VM.</summary>
    public static Argument<string> VmName() => new("NAME") { Description = "The VM's name, as 'kaslrmt ps' lists it" };

    /// <summary>Refuses an empty value, as an unset shell variable gives it.</summary>
    public static Option<T> NotEmpty<T>(this Option<T> option)
    {
        option.Validators.Add(result => RefuseEmpty(result, option.Name));
        return option;
    }

    /// <inheritdoc cref="NotEmpty{T}(Option{T})"/>
    public static Argument<T> NotEmpty<T>(this Argument<T> argument)
    {
        argument.Validators.Add(result => RefuseEmpty(result, argument.Name));
        return argument;
    }

    /// <summary>An option that takes a whole number.</summary>
    /// <param name="names">Its name and aliases.</param>
    /// <param name="standard">Its value when it is not given.</param>
    /// <param name="least">The smallest number taken.</param>
    /// <param name="most">The largest number taken.</param>
    public static Option<int> Number(IReadOnlyList<string> names, int standard, int least, int most) => new(names[0], [.. names.Skip(1)])
    {
        DefaultValueFactory = _ => standard,
        CustomParser = result =>
        {
            string text = result.Tokens[0].Value;
            if (!int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out int number) || number < least || number > most)
            {
                result.AddError($"{names[0]} '{Printable.Of(text, 40)}' is no whole number from {least} to {most}");
            }

            return number;
        },
    };

    private static void RefuseEmpty(SymbolResult result, string name)
    {
        if (result.Tokens.Any(token => token.Value.Length == 0))
        {
            result.AddError($"{name} is given an empty value");
        }
    }
}
