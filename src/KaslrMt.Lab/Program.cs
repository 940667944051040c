using System.Text;
using KaslrMt.Cli;
using KaslrMt.Cli.Output;
using KaslrMt.Lab;

// Not disposed: what cannot be written at the very end has been reported by then.
var output = new ReportWriter(new StandardStream(Console.OpenStandardOutput(), required: true));
var error = new StreamWriter(new StandardStream(Console.OpenStandardError(), required: false), new UTF8Encoding(false)) { AutoFlush = true };
return await CommandLine.RunAsync(LabCommands.Create, args, output, TextWriter.Synchronized(error)).ConfigureAwait(false);
