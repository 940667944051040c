using System.Buffers;
using System.Buffers.Binary;

namespace KaslrMt.Guests;

/// <summary>What each page of a guest's RAM holds: exactly one class for each.</summary>
/// <remarks>
/// What maps a page decides first: the kernel's image, the modules' area, vmalloc, vmemmap (the paper's six regions). For all others the
/// kernel's own <c>struct page</c> does (<c>Documentation/mm/physical_memory.rst</c>, <c>include/linux/mm_types.h</c>). Boot memory inside the
/// image or in vmalloc that the kernel gave back is what it is used for now. A running guest changes while it is looked at: pages in motion may
/// be told by what they were or by what they become.
/// </remarks>
public sealed class PageMap
{
    // Fits the second-level cache together with the pages it describes.
    private const int BlockBytes = 256 << 10;

    // The largest free block has 2^10 pages on x86-64; a hostile order must not reach further.
    private const ulong HighestOrder = 10;
    private const ulong KernelAddresses = 0xff00000000000000;
    private const ulong AnonymousBit = 1;
    private const ulong TailBit = 1;

    private readonly PageClass[] _pages;

    private PageMap(PageFrames frames, PageClass[] pages, bool complete)
    {
        Frames = frames;
        _pages = pages;
        IsComplete = complete;
        Census = new PageCensus(pages);
    }

    /// <summary>How the pages are numbered.</summary>
    public PageFrames Frames { get; }

    /// <summary>The class of each page, by its number.</summary>
    public ReadOnlySpan<PageClass> Pages => _pages;

    /// <summary>How many pages each class has; they add up to the guest's RAM.</summary>
    public PageCensus Census { get; }

    /// <summary>Whether the page tables were read to their end. False means that the guest's are damaged or hostile, and the classes a guess.</summary>
    public bool IsComplete { get; }

    /// <summary>Classifies every page of RAM.</summary>
    /// <param name="kernel">The guest's kernel.</param>
    /// <param name="modules">Its modules; without them code and data in the modules' area are told by permissions.</param>
    /// <exception cref="KaslrMtException">
    /// KMT5011 when the kernel has not set up its memory; KMT5022; KMT27xx when its types do not tell the shape of <c>struct page</c>; KMT50xx when
    /// the guest goes away.
    /// </exception>
    public static PageMap Classify(GuestKernel kernel, GuestModules? modules = null)
    {
        ArgumentNullException.ThrowIfNull(kernel);
        return Classify(KernelAccess.Of(kernel), modules);
    }

    internal static PageMap Classify(KernelAccess kernel, GuestModules? modules)
    {
        var shape = new PageShape(kernel.Types);
        var frames = new PageFrames(kernel.Memory.Ranges);
        var painter = PageClassifier.Paint(kernel, modules, frames, shape.Size);
        var pages = new PageClass[frames.Count];
        pages.AsSpan().Fill(PageClass.Reserved);
        byte[] block = ArrayPool<byte>.Shared.Rent(BlockBytes);
        try
        {
            var scan = new PageScan(shape, painter, pages);
            foreach (PageFrames.Run run in frames.Runs)
            {
                scan.Read(kernel, run, block.AsSpan(0, BlockBytes));
            }
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(block);
        }

        return new PageMap(frames, pages, painter.Ended);
    }

    /// <summary>Classifies pages in ascending order; what a page says of those behind it is kept from one to the next.</summary>
    private sealed class PageScan(PageShape shape, PageClassifier painter, PageClass[] pages)
    {
        private readonly PageShape _shape = shape;
        private readonly bool _hasSlabFlag = shape.SlabFlag != 0;
        private PageClass _head;
        private VirtualAddress _structs;
        private int _freeUntil;

        internal void Read(KernelAccess kernel, PageFrames.Run run, Span<byte> block)
        {
            ulong size = (ulong)_shape.Size;
            _head = PageClass.OtherKernel;
            _freeUntil = 0;
            int piece = 0;
            IReadOnlyList<Mapping> pieces = painter.Vmemmap;
            for (ulong done = 0; done < run.Count;)
            {
                VirtualAddress address = painter.VmemmapStart + ((run.Frame + done) * size);
                while (piece < pieces.Count && pieces[piece].Address + (pieces[piece].Size - 1) < address)
                {
                    piece++;
                }

                if (piece == pieces.Count)
                {
                    Paint(run.Index + (int)done, (int)(run.Count - done));
                    break;
                }

                Mapping there = pieces[piece];
                if (there.Address > address)
                {
                    // No struct page here: what maps the page is all that is known of it.
                    ulong skipped = Math.Min(run.Count - done, (there.Address - address + size - 1) / size);
                    Paint(run.Index + (int)done, (int)skipped);
                    done += skipped;
                    continue;
                }

                ulong offset = address - there.Address;
                int count = (int)Math.Min(Math.Min((there.Size - offset) / size, run.Count - done), (ulong)block.Length / size);
                Span<byte> structs = block[..(int)((ulong)Math.Max(count, 1) * size)];
                bool read = count > 0 ? kernel.Memory.TryRead(there.Target + offset, structs) : kernel.Read(address, structs);
                count = Math.Max(count, 1);
                if (read)
                {
                    _structs = address;
                    Classify(structs, run.Index + (int)done, count);
                }
                else
                {
                    Paint(run.Index + (int)done, count);
                }

                done += (ulong)count;
            }
        }

        private void Paint(int index, int count)
        {
            for (int i = index; i < index + count; i++)
            {
                pages[i] = painter.Pages[i] == PageClassifier.Unpainted ? PageClass.Reserved : painter.Pages[i];
            }

            _head = PageClass.OtherKernel;
        }

        private void Classify(ReadOnlySpan<byte> structs, int index, int count)
        {
            ReadOnlySpan<PageClass> painted = painter.Pages.Slice(index, count);
            Span<PageClass> found = pages.AsSpan(index, count);
            for (int i = 0; i < found.Length; i++)
            {
                ReadOnlySpan<byte> page = structs.Slice(i * _shape.Size, _shape.Size);
                PageClass map = painted[i];

                // A compound page's head must be seen below a mapping too.
                PageClass told = Told(page, index + i, _structs + (ulong)(i * _shape.Size), out bool reserved);
                found[i] = map switch
                {
                    PageClassifier.Unpainted => told,
                    PageClass.KernelCode or PageClass.KernelData => reserved ? map : told,
                    PageClass.Vmalloc => reserved ? PageClass.Reserved : map,
                    PageClass.PageTable => reserved || told == PageClass.OtherKernel ? map : told,
                    _ => map,
                };
            }
        }

        private PageClass Told(ReadOnlySpan<byte> page, int index, VirtualAddress address, out bool reserved)
        {
            ulong flags = BinaryPrimitives.ReadUInt64LittleEndian(page[_shape.Flags..]);
            reserved = (flags & _shape.Reserved) != 0;
            if (reserved)
            {
                return PageClass.Reserved;
            }

            // Tail pages follow their head, whatever the head's number is stored as.
            ulong link = BinaryPrimitives.ReadUInt64LittleEndian(page[_shape.Compound..]);
            if ((link & TailBit) != 0)
            {
                return _head;
            }

            bool listed = link >= KernelAddresses && link != address.Value + (ulong)_shape.Compound;
            return _head = Head(page, flags, index, listed);
        }

        private PageClass Head(ReadOnlySpan<byte> page, ulong flags, int index, bool listed)
        {
            if (_hasSlabFlag && (flags & _shape.SlabFlag) != 0)
            {
                return PageClass.Slab;
            }

            if (_shape.ClassOf(BinaryPrimitives.ReadUInt32LittleEndian(page[_shape.Type..])) is PageClass known)
            {
                if (known == PageClass.Free)
                {
                    ulong order = BinaryPrimitives.ReadUInt64LittleEndian(page[_shape.Private..]);
                    _freeUntil = index + (1 << (int)Math.Min(order, HighestOrder));
                }

                return known;
            }

            // The first page of a free block has a type and tells its size. A page on a processor's own list of free pages has neither, and
            // is told from the further pages of a block in use (which have no user of their own either) by being on a list at all.
            if (BinaryPrimitives.ReadUInt32LittleEndian(page[_shape.References..]) == 0)
            {
                return index < _freeUntil || listed ? PageClass.Free : PageClass.OtherKernel;
            }

            ulong mapping = BinaryPrimitives.ReadUInt64LittleEndian(page[_shape.Mapping..]);
            return (mapping & AnonymousBit) != 0 ? PageClass.User
                : mapping != 0 || (flags & _shape.Lru) != 0 ? PageClass.PageCache
                : PageClass.OtherKernel;
        }
    }
}
