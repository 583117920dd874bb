import InitService

extension AccessTokens {
    convenience init(file path: String) throws {
        let list = try contents(of: path, for: "--token-file")
        do {
            try self.init(list: list)
        } catch {
            throw Failure("--token-file: \(path): \(error)")
        }
    }

    /// - Throws: `Failure`; then the old tokens stay valid.
    func reload(file path: String) throws {
        let list = try contents(of: path, for: "--token-file")
        do {
            try replace(by: list)
        } catch {
            throw Failure("--token-file: \(path): \(error)")
        }
    }
}

/// Maximum size in bytes of a file of tokens or certificates, which is read into memory as a whole.
private let optionFileLimit = 16 << 20

/// The bytes of a file that an option names.
func contents(of path: String, for option: String) throws(Failure) -> [UInt8] {
    do throws(Failure) {
        return try contents(of: path, limit: optionFileLimit)
    } catch {
        throw Failure("\(option): \(error)")
    }
}
