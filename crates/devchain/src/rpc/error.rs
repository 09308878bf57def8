//! Errors as JSON-RPC objects, with the codes of other nodes.

use jsonrpsee::types::ErrorObjectOwned;

use crate::chain::{CallError, CodeError, LoadError, ReorganiseError, SignError, SubmitError, UnknownBlock};

/// The code for whatever the server refuses.
const SERVER_ERROR: i32 = -32000;
/// The code for parameters that make no sense.
const INVALID_PARAMS: i32 = -32602;
/// The code that says: the error has the data of a revert.
const REVERTED: i32 = 3;

/// Refusals of which a client learns no more than their text.
macro_rules! refusals {
    ($($error:ty),*) => {
        $(impl From<$error> for ErrorObjectOwned {
            fn from(error: $error) -> Self {
                refused(error)
            }
        })*
    };
}

refusals!(UnknownBlock, SubmitError, ReorganiseError, LoadError, CodeError);

impl From<SignError> for ErrorObjectOwned {
    fn from(error: SignError) -> Self {
        match error {
            SignError::Call(error) => error.into(),
            other => refused(other),
        }
    }
}

impl From<CallError> for ErrorObjectOwned {
    fn from(error: CallError) -> Self {
        match &error {
            CallError::Reverted { data, .. } => Self::owned(REVERTED, error.to_string(), Some(data)),
            _ => refused(error),
        }
    }
}

/// A request that was understood and refused.
pub(super) fn refused(message: impl ToString) -> ErrorObjectOwned {
    ErrorObjectOwned::owned(SERVER_ERROR, message.to_string(), None::<()>)
}

/// A request with parameters that make no sense.
pub(super) fn invalid(message: impl ToString) -> ErrorObjectOwned {
    ErrorObjectOwned::owned(INVALID_PARAMS, message.to_string(), None::<()>)
}
