internal import ByteText

/// Steps of a model's program, performed on cells without making an element.
///
/// Paths of errors begin at the step.
extension LayerBuilder {
    /// Draws, but keeps nothing: only the request's generator moves.
    ///
    /// - Parameter index: The step's index in the request.
    mutating func discard(_ step: Step, _ shape: Shape, _ dtype: DType, index: Int) throws(InitError) {
        guard case .initialize(let method) = step.method else {
            throw .invalid("tensor", "is missing: \(step.method.name) changes a tensor")
        }
        try plan.discard(method, step.arguments, shape: shape, dtype: dtype, step: index)
    }

    /// Performs a step on a cell, or on a block of it.
    ///
    /// - Parameters:
    ///   - slice: The block; `nil` for all of it.
    ///   - index: The step's index in the request.
    ///   - source: Returns the cell of the tensor that a copy or a norm reads, by its name.
    mutating func perform(
        _ step: Step,
        on cell: Int,
        slice: Slice?,
        index: Int,
        source: (Text) throws(InitError) -> Int
    ) throws(InitError) {
        let region = try region(slice, of: cells[cell].shape, parameter: "slice")
        let limit = plan.limits.maximumOverlays
        switch step.method {
        case .initialize(let method):
            let draw = try draw(method, step.arguments, for: cell, region, index: index)
            try cells[cell].content.write(.draw(draw, region: region), limit: limit)
            if region == nil { (cells[cell].draw, cells[cell].rule) = (draw, nil) }
        case .change(let method):
            let arguments = try BoundArguments(step.arguments, for: method.parameters, of: method.name)
            switch try method.resolve(arguments) {
            case .arithmetic(let operation):
                try check(operation, method, cells[cell].dtype)
                try cells[cell].content.change(operation, region: region, limit: limit)
            case .copy(let name, let text):
                let other = cells[try source(name)].content
                let part = try self.part(text, of: other)
                try check(other, part, fitsInto: cells[cell].content, region)
                try cells[cell].content.write(.copy(other, of: part, region: region), limit: limit)
            case .norm(let name, let dimension):
                let norm = try norm(of: cells[try source(name)].content, keeping: dimension)
                try check(norm, fitsInto: cells[cell].content, region)
                try cells[cell].content.write(.norm(norm, region: region), limit: limit)
            }
        }
        cells[cell].steps.append(index)
    }

    private mutating func draw(
        _ method: InitMethod,
        _ arguments: Arguments,
        for cell: Int,
        _ region: Region?,
        index: Int
    ) throws(InitError) -> Int {
        let (shape, dtype) = (region?.shape ?? cells[cell].shape, cells[cell].dtype)
        let draw: Int
        if var stream = cells[cell].stream {
            draw = try plan.draw(method, arguments, shape: shape, dtype: dtype, on: &stream, step: index)
            cells[cell].stream = stream
        } else {
            draw = try plan.draw(method, arguments, shape: shape, dtype: dtype, step: index)
        }
        // For memory with gaps, PyTorch draws normals in another order, but uniforms in the same one.
        guard region?.isContiguous ?? true || !plan.draws[draw].needsContiguousMemory else {
            throw .refused("slice", "\(method.name) cannot draw into a block that is not contiguous")
        }
        return draw
    }

    private func check(
        _ operation: ElementOperation,
        _ method: ChangeMethod,
        _ dtype: DType
    ) throws(InitError) {
        guard dtype.floatFormat != nil else {
            throw .refused(
                "method",
                "\(method.name) changes floating-point numbers, and the tensor is \(dtype.rawValue)"
            )
        }
        guard operation != .inverseError || dtype != .float64 else {
            throw .refused("method", "erfinv is not available in float64")
        }
    }

    /// Checks that a copy has the target's shape (dimensions of 1 are ignored), and that its elements have been written
    /// and can be converted.
    private func check(
        _ other: TensorContent,
        _ part: Region?,
        fitsInto content: TensorContent,
        _ region: Region?
    ) throws(InitError) {
        let (given, wanted) = (part?.shape ?? other.shape, region?.shape ?? content.shape)
        guard given.dimensions.filter({ $0 != 1 }) == wanted.dimensions.filter({ $0 != 1 }) else {
            throw .refused("from", "\(given) cannot be copied to \(wanted)")
        }
        guard other.dtype.floatFormat == nil || content.dtype.floatFormat != nil else {
            throw .refused("from", "\(other.dtype.rawValue) is not copied to \(content.dtype.rawValue)")
        }
        do {
            try other.requireWritten(part)
        } catch {
            throw error.under("from")
        }
    }

    private mutating func norm(of content: TensorContent, keeping dimension: Int) throws(InitError) -> WeightNorm {
        do {
            try content.requireWritten(nil)
        } catch {
            throw error.under("from")
        }
        let norm = try WeightNorm(of: content, keeping: dimension, index: normCount)
        normCount += 1
        return norm
    }

    /// Checks that the norms have the target's shape (dimensions of 1 are ignored), and that the target holds floats.
    private func check(_ norm: WeightNorm, fitsInto content: TensorContent, _ region: Region?) throws(InitError) {
        let wanted = region?.shape ?? content.shape
        guard wanted.dimensions.filter({ $0 != 1 }) == norm.dimensions else {
            throw .refused("dim", "the norms of \(norm.content.shape) are \(norm.count), and the target is \(wanted)")
        }
        guard content.dtype.floatFormat != nil else {
            throw .refused("from", "norms are floating-point numbers, and the tensor is \(content.dtype.rawValue)")
        }
    }

    private func part(_ text: Text?, of other: TensorContent) throws(InitError) -> Region? {
        guard let text else { return nil }
        do {
            return try region(try Slice(text, allowsIndices: true), of: other.shape, parameter: nil)
        } catch {
            throw error.under("from_slice")
        }
    }

    /// - Returns: `nil` for all of the tensor.
    private func region(_ slice: Slice?, of shape: Shape, parameter: Text?) throws(InitError) -> Region? {
        guard let slice, !slice.isWhole else { return nil }
        do {
            let region = try Region(slice, of: shape, isStrict: true)
            return region.shape == shape ? nil : region
        } catch {
            throw parameter.map { error.under($0) } ?? error
        }
    }
}
