using KaslrMt.Hypervisors;
using Microsoft.Extensions.Logging;

namespace KaslrMt.Vms;

/// <summary>Every message about VMs and their tenant table. No message has a key, a seed or a base; a warning is a line that says so.</summary>
internal static partial class VmMessages
{
    [LoggerMessage(Level = LogLevel.Information, Message = "{Code}: {Problem}")]
    public static partial void Problem(this ILogger log, ErrorCode code, string problem);

    [LoggerMessage(
        Level = LogLevel.Warning,
        Message = "{Vm} boots with its kernel's OWN KASLR (--fallback stock): no per-tenant layout, its kernel pages will not be shared")]
    public static partial void FallsBackToStock(this ILogger log, string vm);

    [LoggerMessage(Level = LogLevel.Information, Message = "{Vm}: started with {Memory}, {Machine}, {Accelerator} ({Reason})")]
    public static partial void Started(this ILogger log, string vm, string memory, string machine, string accelerator, string reason);

    [LoggerMessage(Level = LogLevel.Information, Message = "{Vm}: the guest reboots, with new per-VM bases")]
    public static partial void Reboots(this ILogger log, string vm);

    [LoggerMessage(Level = LogLevel.Warning, Message = "{Vm}: the guest waits at its gate: {Code}: {Problem}")]
    public static partial void WaitsAtGate(this ILogger log, string vm, ErrorCode code, string problem);

    [LoggerMessage(Level = LogLevel.Warning, Message = "{Vm}: its kernel file was replaced: the guest boots {Release} now, before it was {Before}")]
    public static partial void BootsAnotherKernel(this ILogger log, string vm, string release, string before);

    [LoggerMessage(Level = LogLevel.Information, Message = "{Vm}: the guest got its kernel and goes on")]
    public static partial void NoLongerWaits(this ILogger log, string vm);

    [LoggerMessage(Level = LogLevel.Information, Message = "{Vm}: stopping")]
    public static partial void Stopping(this ILogger log, string vm);

    [LoggerMessage(Level = LogLevel.Information, Message = "{Vm}: layout verified in the guest's memory")]
    public static partial void LayoutVerified(this ILogger log, string vm);

    [LoggerMessage(Level = LogLevel.Warning, Message = "{Vm}: the guest's memory does NOT hold the layout it was given")]
    public static partial void LayoutDiffers(this ILogger log, string vm);

    [LoggerMessage(Level = LogLevel.Warning, Message = "{Vm}: layout not verified: {Code}: {Problem}")]
    public static partial void LayoutNotVerified(this ILogger log, string vm, ErrorCode code, string problem);

    [LoggerMessage(Level = LogLevel.Warning, Message = "{Vm}: tenant {Tenant}: {Violation}")]
    public static partial void PolicyViolated(this ILogger log, string vm, string? tenant, string violation);

    [LoggerMessage(Level = LogLevel.Information, Message = "{Vm}: ended ({Reason})")]
    public static partial void Ended(this ILogger log, string vm, string reason);

    [LoggerMessage(Level = LogLevel.Information, Message = "{Vm}: taken over by process {Process}")]
    public static partial void TakenOver(this ILogger log, string vm, int process);

    [LoggerMessage(Level = LogLevel.Information, Message = "{Vm}: its QEMU ended while no supervisor lived ({Reason})")]
    public static partial void EndedUnseen(this ILogger log, string vm, ShutdownReason reason);

    [LoggerMessage(Level = LogLevel.Information, Message = "{Code}: {Vm} runs on without a supervisor: {Problem}")]
    public static partial void NotSupervised(this ILogger log, ErrorCode code, string vm, string problem);

    [LoggerMessage(Level = LogLevel.Information, Message = "{Code}: {Vm} is ended without being asked: {Problem}")]
    public static partial void EndedUnasked(this ILogger log, ErrorCode code, string vm, string problem);

    [LoggerMessage(Level = LogLevel.Error, Message = "{Vm}: internal error in its supervision")]
    public static partial void SupervisionFailed(this ILogger log, Exception error, string vm);

    [LoggerMessage(Level = LogLevel.Information, Message = "{Code}: this host's VMs run on; the tenant table is tried again: {Problem}")]
    public static partial void TableAway(this ILogger log, ErrorCode code, string problem);

    [LoggerMessage(Level = LogLevel.Error, Message = "{Code}: internal error while this host's lease was renewed; it is tried again")]
    public static partial void RenewalFailed(this ILogger log, Exception error, ErrorCode code);

    [LoggerMessage(Level = LogLevel.Information, Message = "the tenant table is back")]
    public static partial void TableBack(this ILogger log);

    [LoggerMessage(Level = LogLevel.Information, Message = "{Code}: {Vm} runs on; the tenant table is tried again: {Problem}")]
    public static partial void TableAway(this ILogger log, ErrorCode code, string vm, string problem);

    [LoggerMessage(Level = LogLevel.Information, Message = "{Vm}: the tenant table is back")]
    public static partial void TableBack(this ILogger log, string vm);

    [LoggerMessage(Level = LogLevel.Information, Message = "{Vm}: the tenant table had lost it (an eviction?); it counts again")]
    public static partial void CountsAgain(this ILogger log, string vm);

    [LoggerMessage(
        Level = LogLevel.Information,
        Message = "{Vm} has ended, and may still count in the tenant table, which does not answer; the next look at the VMs settles it")]
    public static partial void MayStillCount(this ILogger log, string vm);

    [LoggerMessage(
        Level = LogLevel.Information, Message = "{Code}: {Vm} has ended, and still counts in the tenant table: {Problem}; the next look at the VMs settles it")]
    public static partial void StillCounts(this ILogger log, ErrorCode code, string vm, string problem);

    [LoggerMessage(Level = LogLevel.Information, Message = "{Vm} of {Tenant}: its processes are gone; it counts no more")]
    public static partial void CountsNoMore(this ILogger log, string vm, string tenant);

    [LoggerMessage(Level = LogLevel.Information, Message = "{Vm}: its tenant's key is not to be had: {Code}: {Problem}")]
    public static partial void KeyUnavailable(this ILogger log, string vm, ErrorCode code, string problem);

    [LoggerMessage(Level = LogLevel.Information, Message = "{Vm}: awaited at {Address}")]
    public static partial void Awaited(this ILogger log, string vm, string address);

    [LoggerMessage(Level = LogLevel.Information, Message = "a caller with a VM was sent away: {Reason}")]
    public static partial void CallerSentAway(this ILogger log, string reason);

    [LoggerMessage(Level = LogLevel.Information, Message = "{Vm}: arrived")]
    public static partial void Arrived(this ILogger log, string vm);

    [LoggerMessage(Level = LogLevel.Warning, Message = "{Vm}: there is no kernel {Kernel} on this host: the VM will end when its guest reboots")]
    public static partial void KernelMissing(this ILogger log, string vm, string kernel);

    [LoggerMessage(Level = LogLevel.Information, Message = "{Vm}: restored; its file is removed")]
    public static partial void Restored(this ILogger log, string vm);

    [LoggerMessage(Level = LogLevel.Information, Message = "{Code}: {Vm} stands still: only the tenant table knows where it goes on: {Problem}")]
    public static partial void AsksWhereItGoesOn(this ILogger log, ErrorCode code, string vm, string problem);

    [LoggerMessage(Level = LogLevel.Information, Message = "{Code}: {Vm} stands still until the tenant table says where it goes on: {Problem}")]
    public static partial void WaitsForTable(this ILogger log, ErrorCode code, string vm, string problem);
}
