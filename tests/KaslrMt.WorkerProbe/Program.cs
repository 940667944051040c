using System.Globalization;
using KaslrMt.Kernels;
using KaslrMt.WorkerProbe;

// A worker like the product's, with a codec that does what its one argument says; without one, it is the product's worker.
return args switch
{
    [] => KernelWorker.Run(),
    [string fault] => KernelWorker.Run(file => Faults.Commit(fault, file)),
    ["measure", string rounds, .. string[] kernels] => await Measurement.RunAsync(int.Parse(rounds, CultureInfo.InvariantCulture), kernels),
    _ => throw new ArgumentException("give nothing, a fault, or: measure ROUNDS KERNEL…"),
};
