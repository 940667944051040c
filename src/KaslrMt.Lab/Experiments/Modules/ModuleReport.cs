using KaslrMt.Cli.Output;
using KaslrMt.Guests;

namespace KaslrMt.Lab.Experiments.Modules;

/// <summary>How modules lie in several boots of one guest, by what was done about it.</summary>
/// <param name="Guest">What was booted.</param>
/// <param name="Kernel">Its kernel's name.</param>
/// <param name="Accelerator">What executed it.</param>
/// <param name="Cpus">Its processors.</param>
/// <param name="Options">What was measured.</param>
internal sealed record ModuleReport(string Guest, string Kernel, string Accelerator, int Cpus, IReadOnlyList<ModuleReport.Outcome> Options)
{
    /// <summary>When, where and how it was measured; null in results of versions that did not say.</summary>
    public Measurement? Measured { get; init; }

    /// <summary>A module and where its text lies.</summary>
    internal sealed record BootedModule(string Name, string Address);

    /// <summary>What one option came to.</summary>
    internal sealed record Outcome
    {
        /// <summary>Its name.</summary>
        public required string Option { get; init; }

        /// <summary>What it does.</summary>
        public required string What { get; init; }

        /// <summary>Seconds of each boot until the guest had settled.</summary>
        public required IReadOnlyList<double> BootSeconds { get; init; }

        /// <summary>The median of them.</summary>
        public required double MedianBootSeconds { get; init; }

        /// <summary>Modules that all boots have.</summary>
        public required int Modules { get; init; }

        /// <summary>Modules that some boots have and others do not.</summary>
        public required int ModulesNotEverywhere { get; init; }

        /// <summary>Those at one address in all boots.</summary>
        public required int SameAddress { get; init; }

        /// <summary>How many orders there were.</summary>
        public required int Orders { get; init; }

        /// <summary>Pages of the modules' own text of one boot, on average.</summary>
        public required double TextPages { get; init; }

        /// <summary>The share of them whose content is in every boot's, 0 to 1.</summary>
        public required double EqualText { get; init; }

        /// <summary>Modules with text pages whose content is not in every boot, and how many of one boot's pages, on average.</summary>
        public required IReadOnlyDictionary<string, double> UnequalText { get; init; }

        /// <summary>Pages of module code of one boot, on average: the text, and what else is executable there.</summary>
        public required double CodePages { get; init; }

        /// <summary>The share of them whose content is in every boot, 0 to 1.</summary>
        public required double EqualCode { get; init; }

        /// <summary>The same for module data.</summary>
        public required double EqualData { get; init; }

        /// <summary>Pages of module data of one boot, on average.</summary>
        public required double DataPages { get; init; }

        /// <summary>Page tables of one boot, on average.</summary>
        public required double PageTables { get; init; }

        /// <summary>The modules of each boot in load order.</summary>
        public required IReadOnlyList<IReadOnlyList<BootedModule>> Boots { get; init; }

        /// <summary>Compares an option's boots.</summary>
        /// <param name="option">The option.</param>
        /// <param name="boots">At least one.</param>
        public static Outcome Of(ModuleOption option, IReadOnlyList<ModuleBoot> boots)
        {
            Dictionary<string, string[]> addresses = boots
                .SelectMany(boot => boot.Modules)
                .GroupBy(module => module.Name)
                .ToDictionary(same => same.Key, same => same.Select(module => module.Address).ToArray());
            string[] everywhere = [.. addresses.Where(module => module.Value.Length == boots.Count).Select(module => module.Key)];
            double[] seconds = [.. boots.Select(boot => boot.BootSeconds)];
            return new Outcome
            {
                Option = option.Name,
                What = option.What,
                BootSeconds = seconds,
                MedianBootSeconds = Median(seconds),
                Modules = everywhere.Length,
                ModulesNotEverywhere = addresses.Count - everywhere.Length,
                SameAddress = everywhere.Count(name => addresses[name].Distinct().Count() == 1),
                Orders = boots.Select(boot => string.Join(' ', boot.Modules.Select(module => module.Name))).Distinct().Count(),
                TextPages = boots.Average(boot => boot.Text.Values.Sum(pages => pages.Length)),
                EqualText = EqualShare([.. boots.Select(boot => boot.Text.Values.SelectMany(pages => pages).ToArray())]),
                UnequalText = Unequal(boots),
                CodePages = boots.Average(boot => boot.Code.Length),
                EqualCode = EqualShare([.. boots.Select(boot => boot.Code)]),
                DataPages = boots.Average(boot => boot.Data.Length),
                EqualData = EqualShare([.. boots.Select(boot => boot.Data)]),
                PageTables = boots.Average(boot => boot.PageTables),
                Boots = [.. boots.Select(boot => boot.Modules)],
            };
        }

        /// <summary>The share of all pages whose content every boot has.</summary>
        internal static double EqualShare(IReadOnlyList<PageFingerprint[]> boots)
        {
            HashSet<PageFingerprint> common = [.. boots[0]];
            foreach (PageFingerprint[] boot in boots)
            {
                common.IntersectWith(boot);
            }

            int all = boots.Sum(boot => boot.Length);
            return all == 0 ? 0 : Math.Round((double)boots.Sum(boot => boot.Count(common.Contains)) / all, 4);
        }

        private static SortedDictionary<string, double> Unequal(IReadOnlyList<ModuleBoot> boots)
        {
            HashSet<PageFingerprint> common = [.. boots[0].Text.Values.SelectMany(pages => pages)];
            foreach (ModuleBoot boot in boots)
            {
                common.IntersectWith(boot.Text.Values.SelectMany(pages => pages));
            }

            var unequal = new SortedDictionary<string, double>(StringComparer.Ordinal);
            foreach ((string name, PageFingerprint[] pages) in boots.SelectMany(boot => boot.Text))
            {
                if (pages.Count(page => !common.Contains(page)) is > 0 and int count)
                {
                    unequal[name] = unequal.GetValueOrDefault(name) + ((double)count / boots.Count);
                }
            }

            return unequal;
        }

        private static double Median(double[] values)
        {
            double[] sorted = [.. values.Order()];
            int middle = sorted.Length / 2;
            return sorted.Length % 2 == 1 ? sorted[middle] : Math.Round((sorted[middle - 1] + sorted[middle]) / 2, 2);
        }
    }
}
