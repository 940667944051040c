using KaslrMt.Cli.Commands;
using KaslrMt.Cli.Guests;
using KaslrMt.Cli.Options;
using KaslrMt.Cli.Output;
using KaslrMt.Cli.Sharing;
using KaslrMt.Cli.Tables;
using KaslrMt.Guests;
using KaslrMt.Hypervisors;
using KaslrMt.Kernels;
using KaslrMt.Lab.Experiments;
using KaslrMt.Lab.Html;
using KaslrMt.Lab.Results;
using KaslrMt.Layout;
using KaslrMt.Sharing;
using KaslrMt.Tenants;
using KaslrMt.Vms;

namespace KaslrMt.Lab;

/// <summary>The numbered errors of <c>kaslrmt-lab</c> (KMT90xx).</summary>
internal static class LabErrors
{
    /// <summary>Something the demonstration needs is missing.</summary>
    public static readonly ErrorCode Demo = new(9005, ErrorCategory.Host);

    /// <summary>What is to be shown holds no results of this program, or damaged ones.</summary>
    public static readonly ErrorCode Results = new(9019, ErrorCategory.Initialization);

    /// <summary>The file for a report exists already.</summary>
    public static readonly ErrorCode ReportExists = new(9020, ErrorCategory.Usage);
}
