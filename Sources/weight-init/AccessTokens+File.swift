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
