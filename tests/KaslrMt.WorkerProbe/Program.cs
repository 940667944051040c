using KaslrMt.Kernels;
using KaslrMt.WorkerProbe;

// A worker like the product's, with a codec that does what its one argument says; without one, it is the product's worker.
return args is [string fault] ? KernelWorker.Run(file => Faults.Commit(fault, file)) : KernelWorker.Run();
