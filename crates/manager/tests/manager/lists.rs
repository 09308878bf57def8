//! What anybody may see of the channels, page by page.

use crate::world::World;
use microraiden_manager::{ChannelManager, ChannelState, Filter, PageQuery};
use microraiden_protocol::{Address, ChannelId};

const ALL: PageQuery = PageQuery {
    filter: Filter::All,
    sender: None,
    after: None,
    limit: 1_000,
};

/// Reads to the end in pages of a size.
fn read(manager: &ChannelManager, query: PageQuery) -> Vec<ChannelId> {
    let (mut query, mut read) = (query, Vec::new());
    loop {
        let page = manager.page(query);
        assert!(page.channels.len() <= query.limit);
        read.extend(page.channels.iter().map(|overview| overview.channel));
        match page.next {
            Some(next) => query.after = Some(next),
            None => return read,
        }
    }
}

fn names(channels: &[ChannelId]) -> Vec<ChannelId> {
    let mut channels = channels.to_vec();
    channels.sort();
    channels
}

#[tokio::test]
async fn pages_show_every_channel_once_in_its_state() {
    let world = World::start().await;
    let (manager, first) = world.selling(world.memory(), 100).await;
    let mut channels = vec![first];
    for _ in 0..6 {
        channels.push(world.open(50).await);
    }
    world.seen(&manager).await;
    // The last one is not confirmed.
    let pending = channels.pop().unwrap();
    assert_eq!(read(&manager, ALL), names(&channels));
    world.node.mine(1);
    world.seen(&manager).await;
    channels.push(pending);

    for channel in [channels[1], channels[3]] {
        world.buy(&manager, channel, 20, 20).await;
        manager.close(world.close_request(channel, 20)).await.unwrap();
    }
    world.close_at(&channels[4], 0).await;
    world.seen(&manager).await;
    let closed = [channels[1], channels[3], channels[4]];
    let open = [channels[0], channels[2], channels[5], channels[6]];
    let sender = world.sender.address();
    for limit in [1, 2, 3, 7, 1_000] {
        for of in [None, Some(sender)] {
            let query = |filter| PageQuery {
                filter,
                limit,
                sender: of,
                ..ALL
            };
            assert_eq!(read(&manager, query(Filter::All)), names(&channels), "{limit}");
            assert_eq!(read(&manager, query(Filter::Open)), names(&open), "{limit}");
            assert_eq!(read(&manager, query(Filter::Closed)), names(&closed), "{limit}");
        }
    }
    let totals = manager.totals();
    assert_eq!((totals.open_channels, totals.pending_channels), (4, 3));
    assert_eq!(totals.unique_senders, 1);
    assert_eq!(totals.deposit_sum, (100 + 3 * 50).into());
    assert_eq!(totals.balance_sum, 40.into());

    let state = manager.channel(&channels[4]).map(|overview| overview.state);
    assert_eq!(state, Some(ChannelState::Closed));
    manager.stop().await;
}

#[tokio::test]
async fn a_place_in_the_list_need_not_exist_and_reaches_no_other_sender() {
    let world = World::start().await;
    let (manager, channel) = world.selling(world.memory(), 100).await;
    let sender = channel.sender;
    let neighbour = |change: fn(u8) -> u8| {
        let mut bytes = sender.into_array();
        bytes[0] = change(bytes[0]);
        Address::from(bytes)
    };
    let (below, above) = (neighbour(|byte| byte - 1), neighbour(|byte| byte + 1));
    let found = |of, after| {
        let page = manager.page(PageQuery {
            sender: of,
            after,
            ..ALL
        });
        assert_eq!(page.next, None);
        page.channels.len()
    };
    for of in [None, Some(sender)] {
        assert_eq!(found(of, None), 1);
        assert_eq!(found(of, Some((below, u32::MAX))), 1);
        assert_eq!(found(of, Some((sender, channel.open_block - 1))), 1);
        assert_eq!(found(of, Some((sender, channel.open_block))), 0);
        assert_eq!(found(of, Some((sender, u32::MAX))), 0);
        assert_eq!(found(of, Some((above, 0))), 0);
    }
    for other in [below, above] {
        for after in [None, Some((below, 0)), Some((sender, 0)), Some((above, u32::MAX))] {
            assert_eq!(found(Some(other), after), 0);
        }
    }
    manager.stop().await;
}
