// A guest under TCG keeps a processor busy: more at once than the build machines have would only make each slower.
[assembly: CollectionBehavior(MaxParallelThreads = 2)]
