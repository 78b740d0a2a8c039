/* Title and choice of the act, then the acts: one turn of the loop is one frame. */
#include "video.h"
#include "world.h"

#define CARD_FRAMES 60
#define END_FRAMES 200
#define DEATH_FRAMES 90

static u8 read_pad(void)
{
    volatile u8 *port = (volatile u8 *)0xA10003;
    u8 low, high;
    *port = 0x00;
    __asm__ volatile("nop\n\tnop\n\tnop\n\tnop");
    low = *port;
    *port = 0x40;
    __asm__ volatile("nop\n\tnop\n\tnop\n\tnop");
    high = *port;
    return ~((high & 0x3F) | (low << 2 & 0xC0));
}

/* Scanlines since the vertical blank began at line 224; the counter jumps back by 6 after 0xEA. */
static u16 lines_used(void)
{
    u16 line = video_line();
    return line >= 224 ? line - 224 : line + 38;
}

static void blank(void)
{
    wait_vblank();
    video_send();
}

static void fade_in(void)
{
    u8 i;
    for (i = 0; i < 8; i++) {
        blank();
        video_fade(i);
        blank();
    }
}

static u8 title(u8 level)
{
    u8 pad, before = 0xFF, changed = 0, zone = levels[level].zone;
    u16 count = 0;
    world.vars.playing = 0;
    video_display(0);
    video_load_zone(zone);
    draw_title(level, count, 1);
    wait_vblank();
    video_fade(7);
    video_display(1);
    for (;; count++) {
        blank();
        draw_title(level, count, changed);
        changed = 0;
        pad = read_pad();
        if (pad & ~before & PAD_START)
            return level;
        if (pad & ~before & (PAD_LEFT | PAD_RIGHT)) {
            if (pad & PAD_RIGHT)
                level = level + 1 < level_count ? level + 1 : 0;
            else
                level = level ? level - 1 : level_count - 1;
            changed = 1;
            if (levels[level].zone != zone) {
                zone = levels[level].zone;
                video_display(0);
                video_load_zone(zone);
                video_fade(7);
                video_display(1);
            }
        }
        before = pad;
    }
}

/* Play one act. Returns the next level to play, or level_count for the title. */
static u8 play(u8 level)
{
    u16 i, count;
    u8 pad, before = 0xFF;

    video_display(0);
    level_load(level);
    video_load_zone(world.zone);
    draw_card(level);
    wait_vblank();
    video_fade(0);
    video_display(1);
    fade_in();
    for (i = 0; i < CARD_FRAMES; i++)
        blank();

    video_display(0);
    draw_level_start();
    draw_frame();
    video_display(1);
    wait_vblank(); /* so that a whole frame lies between `playing` and the first step */
    publish();
    world.vars.playing = 1;
    world.vars.lag_frames = 0;
    world.vars.cpu_lines = 0;
    i = 0;
    count = vblank_count;
    for (;;) {
        wait_vblank();
        publish();
        video_send();
        pad = read_pad();
        if (vblank_count != (u16)(count + 1))
            world.vars.lag_frames++;
        count = vblank_count;
        if (pad & ~before & PAD_START && world.frame > 1) { /* pause */
            before = pad;
            do {
                wait_vblank();
                pad = read_pad();
                if (pad & PAD_START && pad & PAD_A)
                    return level_count; /* A + START: back to the title */
                i = pad & ~before & PAD_START;
                before = pad;
            } while (!i);
            i = 0;
            count = vblank_count;
        }
        before = pad;
        level_step(pad);
        draw_frame();
        if (world.ended && ++i > END_FRAMES)
            return level + 1;
        if (world.player.dead > DEATH_FRAMES)
            return world.lives ? level : level_count;
        world.vars.cpu_lines = lines_used();
    }
}

int main(void)
{
    u8 level = 0;
    video_start();
    for (;;) {
        level = title(level);
        world.lives = 3;
        world.score = 0;
        while (level < level_count)
            level = play(level);
        level = world.level;
    }
}
